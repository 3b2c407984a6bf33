"""What a plan needs to know of a model from the head of its GGUF file, by llama.cpp's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from byoi_agent.planning.cache import Attention, Latent, Memory, State
from byoi_agent.planning.facts import ModelFacts, main_kind
from byoi_agent.planning.fields import Fields, UnfitModel
from byoi_agent.planning.layout import LAYERS_AT_MOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoi_agent.planning.tensors import Tensor

_WINDOWS: Final = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "cohere2": 4, "olmo2": 4}
"""Each so-manieth layer looks at everything, the others through their window (llama.cpp's
`set_swa_pattern`); of families that are not here all layers look at everything there."""

_ATTENTION_FREE: Final = frozenset({"mamba", "mamba2"})


def from_gguf(name: str, settings: Mapping[str, Any], tensors: Sequence[Tensor]) -> ModelFacts:
    """From the settings of its first file and the tensors of all of them.

    Raises:
        UnfitModel: its settings lack what every model has.
    """
    family = str(settings.get("general.architecture", ""))
    fields = Fields(_own(settings, family))
    experts = fields.count("expert_count", default=0)
    active = fields.count("expert_used_count", default=experts)
    share = active / experts if experts else 1.0
    routed = [tensor for tensor in tensors if "_exps" in tensor.name]
    words = [tensor for tensor in tensors if tensor.name == "token_embd.weight"]
    is_tied = not any(tensor.name == "output.weight" for tensor in tensors)
    looked_up = [] if is_tied else words
    total, size = _weights(tensors), _bytes(tensors)
    idle, idle_bytes = _weights(routed) * (1 - share), _bytes(routed) * (1 - share)
    heads = fields.maximum("attention.head_count", default=0)
    return ModelFacts(
        name=name,
        model_type=family,
        origin="GGUF header",
        quantisation=main_kind(tensors),
        parameters=total,
        active_parameters=round(total - idle),
        computed_parameters=round(total - idle - _weights(looked_up)),
        weight_bytes=size,
        read_bytes=round(size - idle_bytes - _bytes(looked_up)),
        expert_bytes=round(_bytes(routed) - idle_bytes),
        memories=tuple(_memories(family, fields)),
        context_tokens=fields.count("context_length", default=0) or None,
        layers=fields.size("block_count"),
        heads=heads,
        kv_heads=fields.maximum("attention.head_count_kv", default=heads),
        hidden_size=fields.size("embedding_length"),
        inner_size=fields.maximum("feed_forward_length", default=0),
        vocabulary=max((tensor.shape[-1] for tensor in words if tensor.shape), default=0),
        experts=experts,
        active_experts=active,
    )


def _own(settings: Mapping[str, Any], family: str) -> dict[str, Any]:
    """The settings of its architecture, without the prefix; lists as such."""
    prefix = f"{family}."
    return {
        name.removeprefix(prefix): list(value) if isinstance(value, tuple) else value
        for name, value in settings.items()
        if name.startswith(prefix)
    }


def _memories(family: str, fields: Fields) -> list[Memory]:
    layers = fields.size("block_count")
    if layers > LAYERS_AT_MOST:
        raise UnfitModel(f"its GGUF header claims {layers} layers, too many to be true")
    states: list[Memory] = [_state(fields)] if fields.has("ssm.state_size") else []
    if family in _ATTENTION_FREE:
        return states * layers
    if fields.has("attention.kv_lora_rank"):
        turned = fields.count("rope.dimension_count", default=0)
        return [Latent(fields.size("attention.kv_lora_rank") + turned)] * layers
    found: list[Memory] = []
    for index, kv_heads in enumerate(_kv_heads(fields, layers)):
        found += [_attention(family, fields, kv_heads, index)] if kv_heads else []
        found += states if not kv_heads or family == "falcon-h1" else []
    return found


def _kv_heads(fields: Fields, layers: int) -> list[int]:
    """Of each layer; none where it is no attention."""
    told = fields.items("attention.head_count_kv")
    if len(told) == layers:
        return [Fields({"head_count_kv": one}).count("head_count_kv") for one in told]
    return [fields.maximum("attention.head_count_kv", "attention.head_count")] * layers


def _attention(family: str, fields: Fields, kv_heads: int, index: int) -> Attention:
    heads = fields.maximum("attention.head_count")
    size = fields.size("embedding_length") // max(1, heads)
    window = fields.count("attention.sliding_window", default=0)
    every = _WINDOWS.get(family, 1)
    return Attention(
        kv_heads,
        fields.size("attention.key_length", default=size),
        fields.size("attention.value_length", default=size),
        window if window and (index + 1) % every else None,
    )


def _state(fields: Fields) -> State:
    inner, size = fields.size("ssm.inner_size"), fields.size("ssm.state_size")
    groups = fields.count("ssm.group_count", default=0)
    kernel = fields.size("ssm.conv_kernel", default=4)
    return State((inner + 2 * groups * size) * (kernel - 1) + inner * size)


def _weights(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.elements for tensor in tensors)


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.size_bytes for tensor in tensors)
