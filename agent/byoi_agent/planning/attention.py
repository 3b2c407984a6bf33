"""One layer's attention: its matrices, and what it remembers of each token."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, assert_never

from byoi_agent.planning.cache import Attention, Latent
from byoi_agent.planning.fields import UnfitModel
from byoi_agent.planning.parts import Part, matrix, vector

if TYPE_CHECKING:
    from byoi_agent.planning.families import Family
    from byoi_agent.planning.fields import Fields


class Heads(NamedTuple):
    """How attention is divided. `size` is what a head's key and query hold."""

    queries: int
    kv: int
    size: int


def heads_of(fields: Fields) -> Heads:
    """From whichever names the family uses.

    Raises:
        UnfitModel: they do not divide.
    """
    queries = fields.size("num_attention_heads", "n_head", "n_heads", "num_heads")
    hidden = hidden_of(fields)
    size = fields.size("head_dim", "attention_head_dim", "kv_channels", default=hidden // queries)
    return Heads(queries, _kv_heads(fields, queries), size)


def hidden_of(fields: Fields) -> int:
    """Numbers in the vector that stands for a token between layers."""
    return fields.size("hidden_size", "n_embd", "d_model")


def attention(
    fields: Fields, family: Family, window_tokens: int | None
) -> tuple[list[Part], Attention]:
    """Queries, keys and values of heads; a query's gate where the family has one.

    Raises:
        UnfitModel: the heads do not divide.
    """
    heads, hidden = heads_of(fields), hidden_of(fields)
    bias = family.qkv_bias.read(fields)
    wide, narrow = heads.queries * heads.size, heads.kv * heads.size
    asked = wide * 2 if family.has_gated_queries else wide
    parts = [
        *matrix(hidden, asked, bias=bias),
        *matrix(hidden, narrow, bias=bias),
        *matrix(hidden, narrow, bias=bias),
        *matrix(wide, hidden, bias=family.out_bias.read(fields)),
        *_norms(fields, family, heads),
        *(vector(heads.queries) if family.has_sinks else []),
    ]
    return parts, Attention(heads.kv, heads.size, heads.size, window_tokens)


def latent_attention(fields: Fields, family: Family) -> tuple[list[Part], list[Latent]]:
    """Keys and values from one compressed vector (DeepSeek-V2, section 2.1), all heads at once.

    DeepSeek-V3.2 adds an indexer, which keeps a key of its own for each token.
    """
    hidden, queries = hidden_of(fields), heads_of(fields).queries
    bias = family.qkv_bias.read(fields)
    rank, turned = fields.size("kv_lora_rank"), fields.size("qk_rope_head_dim")
    plain, value = fields.size("qk_nope_head_dim"), fields.size("v_head_dim")
    query_rank = fields.count("q_lora_rank", default=0)
    asked = queries * (plain + turned)
    parts = [
        *_queries(hidden, query_rank, asked, bias=bias),
        *matrix(hidden, rank + turned, bias=bias),
        *vector(rank),
        *matrix(rank, queries * (plain + value)),
        *matrix(queries * value, hidden, bias=family.out_bias.read(fields)),
    ]
    if not fields.has("index_head_dim"):
        return parts, [Latent(rank + turned)]
    size, count = fields.size("index_head_dim"), fields.size("index_n_heads")
    parts += matrix(query_rank, count * size) + matrix(hidden, size) + vector(2 * size)
    parts += matrix(hidden, count)
    return parts, [Latent(rank + turned), Latent(size)]


def _queries(hidden: int, rank: int, asked: int, *, bias: bool) -> list[Part]:
    if not rank:
        return matrix(hidden, asked)
    return [*matrix(hidden, rank, bias=bias), *vector(rank), *matrix(rank, asked)]


def _kv_heads(fields: Fields, queries: int) -> int:
    if fields.flag("multi_query") and not fields.flag("new_decoder_architecture"):
        return 1  # Falcon 7B and StarCoder, whose num_kv_heads then means nothing
    inner = fields.inner("attn_config")  # MPT
    # Of a list, which has one for each layer, the largest.
    default = inner.count("kv_n_heads", default=queries)
    kv = fields.maximum("num_key_value_heads", "num_kv_heads", default=default)
    if kv == 0 or queries % kv:
        raise UnfitModel(f"config.json: {queries} attention heads cannot share {kv} KV heads")
    return kv


def _norms(fields: Fields, family: Family, heads: Heads) -> list[Part]:
    if not family.has_qk_norm.read(fields):
        return []
    match family.qk_norm:
        case "head":
            return vector(2 * heads.size)
        case "all" | "each":
            return vector((heads.queries + heads.kv) * heads.size)
        case _:
            assert_never(family.qk_norm)
