"""What every process of ours that loads a model does first: nothing phones home, and the terminal belongs to the progress bar."""

import logging
import os
import warnings

# Warnings of what is seen to elsewhere.
_SEEN_TO = (
    # An embedding that is also the output head: merging parts the two (training.base_folder).
    "Model has `tie_word_embeddings=True` and a tied layer",
    # Checkpoints hold the embedding's own weights too: they are ours alone, and the adapter that is written at the end holds none.
    "Setting `save_embedding_layers` to `True` as embedding layers",
    # Calibration leaves its hooks on the layers of a model that is in memory whole.
    "Attempting to save a model with offloaded modules",
)


def be_quiet() -> None:
    """Tells the libraries, before they are imported where they ask only then."""
    for name in ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "TRL_DISABLE_TELEMETRY"):
        os.environ[name] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that spin while they wait take the cores from whatever else runs, and then from each other: beside one
    # busy process a step took 10 s instead of 0.2 s. A short spin costs nothing when the machine is idle.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler says on stderr that it begins and ends
    for library in ("transformers", "bitsandbytes"):
        logging.getLogger(library).setLevel(logging.ERROR)
    for message in _SEEN_TO:
        warnings.filterwarnings("ignore", message=message)
