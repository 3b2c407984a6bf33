"""What a plan needs to know of a model, from whatever there is of it.

A config.json alone tells all but what its files weigh to the byte, which their headers do. A GGUF
file tells both (`gguf_facts.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from byoi_agent.planning.architecture import read, text_model
from byoi_agent.planning.fields import Fields, UnfitModel
from byoi_agent.planning.weights import (
    PACKED_BY,
    bytes_per_weight,
    named,
    quantisation_of,
    weight_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoi_agent.planning.architecture import Architecture
    from byoi_agent.planning.cache import Memory
    from byoi_agent.planning.tensors import Tensor
    from byoi_agent.planning.weights import Quantisation

Origin = Literal["config.json", "safetensors headers", "GGUF header"]

_PLAIN: Final = ("bf16", "fp32", "fp64")
"""Weights as they are, of two, four and eight bytes; whether the two bytes are bf16 or fp16 makes
no difference here."""


@dataclass(frozen=True)
class ModelFacts:
    """One model. `memories` is None where nobody knows how it remembers.

    `read_bytes` is what generating one token reads of the weights: those on its way, of which
    `expert_bytes` belong to routed experts, `experts` in a layer, `active_experts` of them used.
    `computed_parameters` are those that a token is multiplied with.
    """

    name: str
    model_type: str
    origin: Origin
    quantisation: str
    parameters: int
    active_parameters: int
    computed_parameters: int
    weight_bytes: int
    read_bytes: int
    memories: tuple[Memory, ...] | None
    context_tokens: int | None
    layers: int = 0
    heads: int = 0
    kv_heads: int = 0
    hidden_size: int = 0
    inner_size: int = 0
    vocabulary: int = 0
    dtype_bytes: int = 2
    experts: int = 0
    active_experts: int = 0
    expert_bytes: int = 0

    @property
    def loaded_bytes(self) -> int:
        """Weights in memory: vLLM (`--dtype auto`) rounds 32-bit weights to 16 as it loads them."""
        return self.weight_bytes // 2 if self.quantisation == "fp32" else self.weight_bytes


def from_config(
    name: str, config: Mapping[str, Any], quantisation: str | None = None
) -> ModelFacts:
    """From a config.json alone; `quantisation` asks for another than it says.

    Raises:
        UnfitModel: an architecture or a quantisation that byoi does not know.
    """
    # Packed otherwise, its quantiser's list of what it left whole says nothing.
    architecture = read({**config, **dict.fromkeys(PACKED_BY)} if quantisation else config)
    if quantisation in {"none", "bf16", "fp16"}:
        packed = None
    else:
        packed = named(quantisation) if quantisation else quantisation_of(config)
    plain = architecture.dtype_bytes
    return ModelFacts(
        name=name,
        origin="config.json",
        quantisation=packed.name if packed else _PLAIN[plain.bit_length() - 2],
        weight_bytes=weight_bytes(architecture, packed),
        read_bytes=_read_bytes(architecture, packed),
        expert_bytes=_expert_bytes(architecture, packed),
        **_shape(architecture),
    )


def _read_bytes(architecture: Architecture, packed: Quantisation | None) -> int:
    """What one token's way reads of the weights: all but the table of words, unless tied."""
    plain = architecture.dtype_bytes
    total = sum(
        part.active_parameters * bytes_per_weight(packed, plain, part.role, is_whole=part.is_whole)
        for part in architecture.parts
        if part.role not in {"embedding", "vision"}
    )
    if architecture.is_tied:
        head = architecture.vocabulary * architecture.hidden_size
        total += head * bytes_per_weight(packed, plain, "embedding")
    return round(total)


def _expert_bytes(architecture: Architecture, packed: Quantisation | None) -> int:
    plain = architecture.dtype_bytes
    return round(
        sum(
            part.active_parameters
            * bytes_per_weight(packed, plain, "expert", is_whole=part.is_whole)
            for part in architecture.parts
            if part.role == "expert"
        )
    )


def from_safetensors(
    name: str, config: Mapping[str, Any] | None, tensors: Sequence[Tensor]
) -> ModelFacts:
    """From the headers of a model's files, with its config.json where there is one.

    What the headers weigh counts; the config tells the rest. An architecture that byoi does not
    know comes out without `memories`.

    Raises:
        UnfitModel: the config has a field that cannot be.
    """
    size = sum(tensor.size_bytes for tensor in tensors)
    told = _told(name, config or {})
    if told is None:
        return _weighed(name, config or {}, tensors)
    scale = size / told.weight_bytes
    # A quantiser's stored numbers are not weights, and the config knows how many it packed.
    counts = all(tensor.is_plain for tensor in tensors) and told.quantisation in _PLAIN
    return replace(
        told,
        origin="safetensors headers",
        weight_bytes=size,
        parameters=sum(tensor.weights for tensor in tensors) if counts else told.parameters,
        read_bytes=round(told.read_bytes * scale),
        expert_bytes=round(told.expert_bytes * scale),
    )


def _weighed(name: str, config: Mapping[str, Any], tensors: Sequence[Tensor]) -> ModelFacts:
    """Of an architecture that byoi does not know: what its files weigh, and no more."""
    size = sum(tensor.size_bytes for tensor in tensors)
    counted = sum(tensor.weights for tensor in tensors)
    return ModelFacts(
        name=name,
        model_type=text_model(config)[1] or "unknown",
        origin="safetensors headers",
        quantisation=main_kind(tensors),
        parameters=counted,
        active_parameters=counted,
        computed_parameters=counted,
        weight_bytes=size,
        read_bytes=size,
        memories=None,
        context_tokens=Fields(config).count("max_position_embeddings", default=0) or None,
    )


def main_kind(tensors: Sequence[Tensor]) -> str:
    """The type that most bytes are kept in."""
    sizes: dict[str, int] = {}
    for tensor in tensors:
        sizes[tensor.kind] = sizes.get(tensor.kind, 0) + tensor.size_bytes
    return max(sizes, key=lambda kind: sizes[kind], default="none").lower()


def _told(name: str, config: Mapping[str, Any]) -> ModelFacts | None:
    """What the config says, if byoi knows what it speaks of."""
    try:
        return from_config(name, config)
    except UnfitModel:
        try:
            # A quantisation that is not known: the files weigh what they weigh.
            return from_config(name, config, "none")
        except UnfitModel:
            return None


def _shape(architecture: Architecture) -> dict[str, Any]:
    return {
        "model_type": architecture.model_type,
        "parameters": architecture.parameters,
        "active_parameters": architecture.active_parameters,
        "computed_parameters": architecture.computed_parameters,
        "memories": architecture.memories,
        "context_tokens": architecture.context_tokens,
        "layers": architecture.layers,
        "heads": architecture.heads,
        "kv_heads": architecture.kv_heads,
        "hidden_size": architecture.hidden_size,
        "inner_size": architecture.inner_size,
        "vocabulary": architecture.vocabulary,
        "dtype_bytes": architecture.dtype_bytes,
        "experts": architecture.experts,
        "active_experts": architecture.active_experts,
    }
