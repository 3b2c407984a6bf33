"""From a config.json to what the model is made of and what it remembers.

Every family is one row of `families.py`; here its rows and the config's numbers become parts. A
family that has no row is an error that names it: a guess would be wrong where nobody notices.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, assert_never

from byoi_agent.planning import mixers as mixing
from byoi_agent.planning.attention import attention, heads_of, hidden_of, latent_attention
from byoi_agent.planning.dialects import translated, type_of
from byoi_agent.planning.families import FAMILIES
from byoi_agent.planning.feed_forward import dense, experts, experts_of, has_experts, shared_only
from byoi_agent.planning.fields import Fields, UnfitModel
from byoi_agent.planning.layout import Feed, Mixer, feeds, layer_count, mixers, windows
from byoi_agent.planning.left_whole import left_whole
from byoi_agent.planning.parts import Part, matrix, times, vector
from byoi_agent.planning.rope import stretch
from byoi_agent.planning.vision import vision_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_agent.planning.cache import Memory
    from byoi_agent.planning.families import Family
    from byoi_agent.planning.left_whole import Kind, LeftWhole

_TEXT_FIELDS: Final = ("text_config", "llm_config", "language_config")
_CONTEXT: Final = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length",
)  # fmt: skip
_FULL_PRECISION: Final = {"float32": 4, "float": 4, "float64": 8}


@dataclass(frozen=True)
class Architecture:
    """One model, taken apart. `dtype_bytes` is what its own weights are kept in.

    `context_tokens` is the longest text that it was made for; None: without a limit of its own.
    `experts` is 0 for a dense model.
    """

    model_type: str
    parts: tuple[Part, ...]
    memories: tuple[Memory, ...]
    layers: int
    heads: int
    kv_heads: int
    hidden_size: int
    inner_size: int
    vocabulary: int
    context_tokens: int | None
    dtype_bytes: int
    is_tied: bool
    experts: int
    active_experts: int

    @cached_property
    def parameters(self) -> int:
        """All of them, as model cards count; a tied head is none of its own."""
        return sum(part.parameters for part in self.parts)

    @cached_property
    def active_parameters(self) -> int:
        """Those that one token needs, the table of words included, as most cards count."""
        return sum(part.active_parameters for part in self.parts if part.role != "vision")

    @cached_property
    def computed_parameters(self) -> int:
        """Those that one token is multiplied with: a table that is only looked up in is none."""
        looked_up = sum(part.parameters for part in self.parts if part.role == "embedding")
        head = self.vocabulary * self.hidden_size if self.is_tied else 0
        return self.active_parameters - looked_up + head


def read(config: Mapping[str, Any]) -> Architecture:
    """Take a model apart by its config.json.

    Raises:
        UnfitModel: it names no family that byoi knows, or a field that cannot be.
    """
    text, model_type = translated(*text_model(config))
    family = FAMILIES.get(model_type)
    if family is None:
        raise _unknown(model_type)
    fields = Fields(text, family.defaults)
    count = layer_count(fields)
    is_tied = _is_tied(config, fields, family)
    mixed = mixers(model_type, fields, count)
    feeding = feeds(model_type, fields, family, count)
    spans = windows(fields, family, count)
    parts: list[Part] = _ends(fields, family, is_tied=is_tied)
    memories: list[Memory] = []
    whole = left_whole(config)
    for number, (kinds, feed, span) in enumerate(zip(mixed, feeding, spans, strict=True)):
        left = partial(_left, whole, number)
        layer, remembered = _layer(model_type, fields, family, kinds, feed, span, left)
        parts += layer
        memories += remembered
    is_attentive = any("attention" in kinds for kinds in mixed)
    heads = heads_of(fields) if is_attentive else None
    mixture = experts_of(fields) if family.has_experts and has_experts(fields) else (0, 0)
    return Architecture(
        model_type=model_type,
        parts=tuple(parts + vision_parts(config, hidden_of(fields))),
        memories=tuple(memories),
        layers=count,
        heads=heads.queries if heads else 0,
        kv_heads=heads.kv if heads else 0,
        hidden_size=hidden_of(fields),
        inner_size=max((part.outputs for part in parts if part.role == "linear"), default=0),
        vocabulary=fields.size("vocab_size"),
        context_tokens=_context_of(text, model_type, fields),
        dtype_bytes=_dtype_bytes(config, fields),
        is_tied=is_tied,
        experts=mixture[0],
        active_experts=mixture[1],
    )


def _context_of(text: Mapping[str, Any], model_type: str, fields: Fields) -> int | None:
    told = fields.count(*_CONTEXT, default=0)
    return int(told * stretch(text, model_type)) or None


def text_model(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The part of a config.json that speaks of text, and its family; others hold it inside."""
    outer = type_of(config)
    for name in _TEXT_FIELDS:
        inner = config.get(name)
        if isinstance(inner, dict) and inner:
            found = type_of(inner) or _TEXT_TYPES.get(outer, outer)
            return inner, _TEXT_TYPES.get(found, found)
    return config, _TEXT_TYPES.get(outer, outer)


_TEXT_TYPES: Final = {
    "gemma3": "gemma3_text",
    "llama4": "llama4_text",
    "llava": "llama",
    "mistral3": "mistral",
    "qwen2_vl": "qwen2_vl_text",
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "glm4v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
}
"""The text model of what sees as well, where its own config does not name it."""


def _unknown(model_type: str) -> UnfitModel:
    if not model_type:
        return UnfitModel("config.json names no model_type, so nobody can say what it is made of")
    near = difflib.get_close_matches(model_type, FAMILIES, n=1)
    hint = f" (it does know {near[0]!r})" if near else ""
    return UnfitModel(
        f"byoi does not know the architecture {model_type[:80]!r}{hint}; "
        "with the model's .safetensors or .gguf files beside it, it can count their weights"
    )


def _ends(fields: Fields, family: Family, *, is_tied: bool) -> list[Part]:
    """What stands before the first layer and after the last."""
    hidden, words = hidden_of(fields), fields.size("vocab_size")
    norm = _norm(hidden, family, fields)
    narrow = fields.size("word_embed_proj_dim", default=hidden)  # OPT 350M
    parts = [*matrix(words, narrow, "embedding")]
    if narrow != hidden:
        parts += matrix(narrow, hidden) + matrix(hidden, narrow)
    if family.extra_positions is not None:
        places = fields.size(*_CONTEXT) + family.extra_positions
        parts += matrix(places, hidden, "embedding")
    parts += norm if family.has_embedding_norm else []
    has_final = family.has_final_norm and fields.flag("do_layer_norm_before", default=True)
    parts += norm if has_final else []
    if not is_tied:
        parts += matrix(hidden, words, "head", bias=family.head_bias.read(fields))
    return parts


def _layer(
    model_type: str,
    fields: Fields,
    family: Family,
    mixed: tuple[Mixer, ...],
    feed: Feed,
    span: int | None,
    left: Callable[[list[Part], Kind], list[Part]],
) -> tuple[list[Part], list[Memory]]:
    parts = times(_norm(hidden_of(fields), family, fields), _norm_count(model_type, fields, family))
    memories: list[Memory] = []
    for one in mixed:
        found, remembered = _mixer(model_type, fields, family, one, span)
        parts += left(found, _MIXED[one])
        memories += remembered
    return [*parts, *left(_feed(fields, family, feed), _FED[feed])], memories


_MIXED: Final[Mapping[Mixer, Kind]] = MappingProxyType(
    {
        "attention": "attention",
        "delta": "delta",
        "mamba": "mamba",
        "mamba2": "mamba",
        "none": "attention",
    }
)
_FED: Final[Mapping[Feed, Kind]] = MappingProxyType(
    {"dense": "dense", "experts": "shared", "none": "dense"}
)


def _left(whole: LeftWhole, layer: int, parts: list[Part], kind: Kind) -> list[Part]:
    """The parts, those marked that a quantiser leaves whole; routed experts are named apart."""
    is_whole = whole.has(kind, layer)
    are_experts_whole = whole.has("expert", layer)
    return [
        replace(part, is_whole=are_experts_whole if part.role == "expert" else is_whole)
        for part in parts
    ]


def _mixer(
    model_type: str, fields: Fields, family: Family, kind: Mixer, span: int | None
) -> tuple[list[Part], list[Memory]]:
    match kind:
        case "attention" if fields.has("kv_lora_rank"):
            parts, latents = latent_attention(fields, family)
            return parts, [*latents]
        case "attention":
            parts, kept = attention(fields, family, span)
            return parts, [kept]
        case "mamba":
            parts, state = mixing.mamba(fields, has_inner_norms=model_type == "jamba")
            return parts, [state]
        case "mamba2":
            has_norm = model_type != "falcon_h1" or fields.flag("mamba_rms_norm")
            parts, state = mixing.mamba2(fields, has_norm=has_norm)
            return parts, [state]
        case "delta":
            parts, state = mixing.delta_net(fields)
            return parts, [state]
        case "none":
            return [], []
        case _:
            assert_never(kind)


def _feed(fields: Fields, family: Family, feed: Feed) -> list[Part]:
    match feed:
        case "experts":
            return experts(fields, family)
        case "dense" if fields.has("shared_intermediate_size"):
            return shared_only(fields, family)
        case "dense":
            return dense(fields, family)
        case "none":
            return []
        case _:
            assert_never(feed)


def _norm(hidden: int, family: Family, fields: Fields) -> list[Part]:
    return vector(hidden * (2 if family.norm_bias.read(fields) else 1))


def _norm_count(model_type: str, fields: Fields, family: Family) -> int:
    if model_type != "falcon" or not fields.flag("parallel_attn", default=True):
        return family.norms
    # One for both branches, unless the newer form says otherwise (Falcon 40B: two, 11B: one).
    if not fields.flag("new_decoder_architecture"):
        return 1
    return fields.count("num_ln_in_parallel_attn", default=2)


def _is_tied(config: Mapping[str, Any], fields: Fields, family: Family) -> bool:
    outer = config.get("tie_word_embeddings")
    default = outer if isinstance(outer, bool) else family.is_tied
    return fields.flag("tie_word_embeddings", default=default)


def _dtype_bytes(config: Mapping[str, Any], fields: Fields) -> int:
    outer = Fields(config).text("dtype", "torch_dtype")
    return _FULL_PRECISION.get(fields.text("dtype", "torch_dtype", default=outer), 2)
