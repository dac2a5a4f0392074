"""What training takes by its parts, computed from a model's shape.

- Weights: parameters times bytes each. NF4 takes half a byte, and with double quantization 1/64 + 4/(64 x 256) for the scales
  of its blocks of 64 (Dettmers et al., 2023, section 3: 0.127 bits a parameter); int8 one byte, and 4 for each output.
  Embeddings, norms and the head are not quantized.
- Gradients 4 bytes a trained parameter; AdamW's two moments 8 (Rajbhandari et al., 2020, ZeRO, section 3.1).
- Activations: what autograd keeps for the backward pass, counted operation by operation as Korthikanti et al. (2022),
  section 4, do, for a block of RMSNorm, rotary attention that does not keep its scores, and SwiGLU. A token costs in each layer,
  with h hidden, q and k the widths of all query and of all key heads, f the inner width, a heads, d bytes a product's operand:
    the norms' inputs 8h + 8 and outputs 2hd; where the norms' own weights are trained their normalized inputs 8h;
    queries, keys, values and the attention's output (2q + 2k)d, and its scales 4a; gate, up, their product and SiLU's output 4fd;
    with LoRA of rank r on the seven linear layers 7rd.
  The head costs 4v for each label, v the size of the vocabulary: its log-softmax.
- The peak: weights, optimizer, and the larger of gradients and activations, as the first grow while the second are freed;
  with the activations 8v for each label, the logits and their gradient.

Nothing is recomputed (no gradient checkpointing). With d = 4 the parts are what is measured of the embedded base to a few
per cent (docs/results.md); with bfloat16 products some operands are kept in both widths, which this does not count.
"""

from dataclasses import asdict, dataclass
from typing import Any

# method -> bytes a parameter of a linear layer, and bytes an output of one.
_LINEAR_BYTES = {"qlora-4bit": (0.5 + 1 / 64 + 4 / (64 * 256), 0.0), "qlora-8bit": (1.0, 4.0)}


@dataclass(frozen=True)
class Shape:
    """A decoder's widths, as config.json has them."""

    hidden: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    head_width: int
    vocabulary: int
    tied: bool

    @property
    def linear(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of a layer's seven linear modules."""
        h, q, k, f = self.hidden, self.heads * self.head_width, self.key_heads * self.head_width, self.inner
        return ((h, q), (h, k), (h, k), (q, h), (h, f), (h, f), (f, h))

    @property
    def linear_parameters(self) -> int:
        """Of all layers' linear modules: what QLoRA quantizes."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear)

    @property
    def other_parameters(self) -> int:
        """Embeddings, the head where it is its own, and the norms."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2) + (2 * self.layers + 1) * self.hidden

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.linear_parameters + self.other_parameters

    def adapter_parameters(self, rank: int) -> int:
        """Of LoRA on every linear layer: r (in + out) each."""
        return self.layers * sum(rank * (inputs + outputs) for inputs, outputs in self.linear)


@dataclass(frozen=True)
class Batch:
    """Rows of so many tokens each, and how many labels they have in all."""

    rows: int
    length: int
    labels: int


def shape_of(config: Any) -> Shape:
    """The shape in a transformers config."""
    heads = config.num_attention_heads
    return Shape(
        hidden=config.hidden_size,
        inner=config.intermediate_size,
        layers=config.num_hidden_layers,
        heads=heads,
        key_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_width=getattr(config, "head_dim", None) or config.hidden_size // heads,
        vocabulary=config.vocab_size,
        tied=bool(config.tie_word_embeddings),
    )


def predict(shape: Shape, method: str, rank: int, batch: Batch, *, frozen: int = 4, width: int = 4) -> dict[str, int]:
    """Bytes by part, and their peak. `frozen` bytes hold a weight that is not trained, `width` a product's operand."""
    trained = shape.parameters if method == "full" else shape.adapter_parameters(rank)
    kept = _activations(shape, method, rank, batch, width)
    logits = 8 * batch.labels * shape.vocabulary
    parts = {
        "weights": _weights(shape, method, rank, frozen),
        "gradients": 4 * trained,
        "optimizer": 8 * trained,
        "activations": kept,
    }
    return parts | {"peak": parts["weights"] + parts["optimizer"] + max(parts["gradients"], kept + logits)}


def _weights(shape: Shape, method: str, rank: int, frozen: int) -> int:
    if method == "full":
        return 4 * shape.parameters
    each, output = _LINEAR_BYTES.get(method, (float(frozen), 0.0))
    outputs = shape.layers * sum(out for _, out in shape.linear)
    linear = each * shape.linear_parameters + output * outputs
    return round(linear + frozen * shape.other_parameters + 4 * shape.adapter_parameters(rank))


def _activations(shape: Shape, method: str, rank: int, batch: Batch, d: int) -> int:
    h, q, k = shape.hidden, shape.heads * shape.head_width, shape.key_heads * shape.head_width
    norms = (16 if method == "full" else 8) * h + 8 + 2 * h * d
    attention = (2 * q + 2 * k) * d + 4 * shape.heads
    adapters = 0 if method == "full" else 7 * rank * d
    layer = norms + attention + 4 * shape.inner * d + adapters
    return batch.rows * batch.length * shape.layers * layer + 4 * batch.labels * shape.vocabulary


# config.json of Llama 3.2 1B, Llama 3.1 8B and 70B; the last two are Table 3 of "The Llama 3 Herd of Models" (2024).
KNOWN = {
    "Llama 3.2 1B": Shape(2048, 8192, 16, 32, 8, 64, 128_256, tied=True),
    "Llama 3.1 8B": Shape(4096, 14_336, 32, 32, 8, 128, 128_256, tied=False),
    "Llama 3.1 70B": Shape(8192, 28_672, 80, 64, 8, 128, 128_256, tied=False),
}
LARGE_BATCH = Batch(rows=1, length=2048, labels=1024)


def predict_known(methods: tuple[str, ...], rank: int) -> list[dict[str, Any]]:
    """The same formulas for models of public shapes: frozen weights and products in bfloat16, what is trained in float32."""
    return [
        {
            "computed": True,
            "model": name,
            "parameters": shape.parameters,
            "method": method,
            "rank": rank,
            "batch": asdict(LARGE_BATCH),
        }
        | {"predicted": predict(shape, method, rank, LARGE_BATCH, frozen=2, width=2)}
        for name, shape in KNOWN.items()
        for method in methods
    ]
