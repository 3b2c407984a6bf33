"""Which layer of a model is what: attention or another mixer, its window, dense or experts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, assert_never

from byoi_agent.planning.feed_forward import has_experts
from byoi_agent.planning.fields import UnfitModel

if TYPE_CHECKING:
    from byoi_agent.planning.families import Family
    from byoi_agent.planning.fields import Fields

Mixer: TypeAlias = Literal["attention", "mamba", "mamba2", "delta", "none"]
Feed: TypeAlias = Literal["dense", "experts", "none"]

LAYERS_AT_MOST: Final = 2000
_EVERYWHERE: Final[dict[str, tuple[Mixer, ...]]] = {
    "mamba": ("mamba",),
    "falcon_mamba": ("mamba",),
    "mamba2": ("mamba2",),
    "falcon_h1": ("attention", "mamba2"),
}
_OTHERWISE: Final[dict[str, Mixer]] = {
    "jamba": "mamba",
    "bamba": "mamba2",
    "granitemoehybrid": "mamba2",
    "qwen3_next": "delta",
    "qwen3_5_text": "delta",
    "qwen3_5_moe_text": "delta",
}
"""What a hybrid's layers are where they are not attention."""
_PATTERN: Final[dict[str, tuple[Mixer, Feed]]] = {
    "M": ("mamba2", "none"),
    "*": ("attention", "none"),
    "-": ("none", "dense"),
    "E": ("none", "experts"),
}
"""Nemotron-H's `hybrid_override_pattern`, and below the words of its newer field."""
_WORDS: Final = {
    "mamba": "M",
    "linear_attention": "M",
    "attention": "*",
    "full_attention": "*",
    "mlp": "-",
    "moe": "E",
}


def layer_count(fields: Fields) -> int:
    """How many layers there are.

    Raises:
        UnfitModel: none, or too many to be true.
    """
    pattern = _nemotron_pattern(fields)
    count = len(pattern) or fields.size("num_hidden_layers", "n_layer", "n_layers")
    if count > LAYERS_AT_MOST:
        raise UnfitModel(f"config.json: {count} layers are too many to be true")
    return count


def mixers(model_type: str, fields: Fields, layers: int) -> list[tuple[Mixer, ...]]:
    """What each layer mixes its tokens by; Falcon-H1 has two of them side by side.

    Raises:
        UnfitModel: its pattern holds something that we do not know.
    """
    if (everywhere := _EVERYWHERE.get(model_type)) is not None:
        return [everywhere] * layers
    if model_type == "nemotron_h":
        pattern = _nemotron_pattern(fields)
        if not pattern:
            raise UnfitModel("config.json has no hybrid_override_pattern, which says what is where")
        return [(_PATTERN[letter][0],) for letter in pattern]
    if (other := _OTHERWISE.get(model_type)) is None:
        return [("attention",)] * layers
    attentive = _attentive(model_type, fields, layers)
    return [("attention" if i in attentive else other,) for i in range(layers)]


def _attentive(model_type: str, fields: Fields, layers: int) -> set[int]:
    """Which layers of a hybrid are attention."""
    match model_type:
        case "jamba":
            period = fields.size("attn_layer_period", default=8)
            first = fields.count("attn_layer_offset", default=4)
            return {i for i in range(layers) if i % period == first}
        case "bamba":
            return {i for i in fields.items("attn_layer_indices") if isinstance(i, int)}
        case "qwen3_next" | "qwen3_5_text" | "qwen3_5_moe_text" if not fields.items("layer_types"):
            every = fields.size("full_attention_interval", default=4)
            return {i for i in range(layers) if (i + 1) % every == 0}
        case _:
            words = fields.items("layer_types", "layers_block_type")
            return {i for i, word in enumerate(words) if word in {"attention", "full_attention"}}


def feeds(model_type: str, fields: Fields, family: Family, layers: int) -> list[Feed]:
    """What follows the mixer in each layer."""
    if model_type in {"mamba", "falcon_mamba", "mamba2"}:
        return ["none"] * layers
    if model_type == "nemotron_h":
        return [_PATTERN[letter][1] for letter in _nemotron_pattern(fields)]
    if not (family.has_experts and has_experts(fields)):
        return ["dense"] * layers
    words = fields.items("mlp_layer_types")
    chosen = [i for i, word in enumerate(words) if word == "sparse"] or fields.items("moe_layers")
    if chosen:
        return ["experts" if i in chosen else "dense" for i in range(layers)]
    dense_ones = fields.items("mlp_only_layers")
    return ["dense" if i in dense_ones else _feed(fields, i) for i in range(layers)]


def windows(fields: Fields, family: Family, layers: int) -> list[int | None]:
    """The newest tokens that each attention layer looks at; None: at all of them."""
    words = fields.items("layer_types")
    size = fields.count("sliding_window", default=0)
    if len(words) == layers and "sliding_attention" in words and size:
        return [size if word == "sliding_attention" else None for word in words]
    if fields.has("attention_chunk_size"):
        return _chunks(fields, layers)
    if not size or len(words) == layers:
        return [None] * layers
    return _by_family(fields, family, layers, size)


def _by_family(fields: Fields, family: Family, layers: int, size: int) -> list[int | None]:
    match family.windows:
        case "none":
            return [None] * layers
        case "all":
            return [size] * layers
        case "alternating":
            every = fields.size("sliding_window_pattern", default=family.window_every)
            return [size if (i + 1) % every else None for i in range(layers)]
        case "late":
            first = fields.count("max_window_layers", default=layers)
            is_used = fields.flag("use_sliding_window")
            return [size if is_used and i >= first else None for i in range(layers)]
        case _:
            assert_never(family.windows)


def _feed(fields: Fields, index: int) -> Feed:
    if index < fields.count("first_k_dense_replace", "moe_layer_start_index", default=0):
        return "dense"
    if fields.has("interleave_moe_layer_step"):  # Llama 4 counts from one
        return "dense" if (index + 1) % fields.size("interleave_moe_layer_step") else "experts"
    period = fields.size("expert_layer_period", default=1)
    if index % period != fields.count("expert_layer_offset", default=0) % period:
        return "dense"
    step = fields.size("decoder_sparse_step", default=1)
    return "dense" if (index + 1) % step else "experts"


def _chunks(fields: Fields, layers: int) -> list[int | None]:
    """Llama 4: each fourth layer has no positions, and looks at everything."""
    size = fields.size("attention_chunk_size")
    told = fields.items("no_rope_layers")
    if len(told) == layers:
        return [size if one else None for one in told]
    every = fields.size("no_rope_layer_interval", default=4)
    return [size if (i + 1) % every else None for i in range(layers)]


def _nemotron_pattern(fields: Fields) -> str:
    words = fields.items("layers_block_type")
    pattern = fields.text("hybrid_override_pattern")
    if not pattern and fields.has("mamba_num_heads") and words:
        pattern = "".join(_WORDS.get(str(word), "?") for word in words)
    if set(pattern) - set(_PATTERN):
        raise UnfitModel("config.json: hybrid_override_pattern names a layer that byoi knows not")
    return pattern
