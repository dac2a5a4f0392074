"""What evaluation.quiet does, and PEFT's warnings about adapters where tokens come in or go out."""

import warnings

from evaluation.quiet import be_quiet as say_nothing

# Of an embedding that is also the output head: merging parts the two (training.base_folder). Of checkpoints, which hold the
# embedding's own weights too: they are ours alone, and the adapter that is written at the end holds none.
_ENDS = ("Model has `tie_word_embeddings=True` and a tied layer", "Setting `save_embedding_layers` to `True` as embedding layers")


def be_quiet() -> None:
    """What every process that trains or merges does first."""
    say_nothing()
    for message in _ENDS:
        warnings.filterwarnings("ignore", message=message)
