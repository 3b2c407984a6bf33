from __future__ import annotations

import pytest

from byoi_agent.planning.attention import attention, heads_of, latent_attention
from byoi_agent.planning.cache import Attention, Latent
from byoi_agent.planning.families import ALWAYS, FAMILIES, Family
from byoi_agent.planning.fields import Fields, UnfitModel

PLAIN = {"hidden_size": 64, "num_attention_heads": 8, "num_key_value_heads": 2}
LATENT = {
    "hidden_size": 64, "num_attention_heads": 4, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 12, "v_head_dim": 10,
}  # fmt: skip


def count(parts):
    return sum(part.parameters for part in parts)


def test_heads_are_found_by_whatever_name():
    assert heads_of(Fields(PLAIN)) == (8, 2, 8)
    assert heads_of(Fields({"n_embd": 64, "n_head": 4})) == (4, 4, 16)
    assert heads_of(Fields({**PLAIN, "head_dim": 32})).size == 32
    assert heads_of(Fields({**PLAIN, "multi_query": True})).kv == 1
    new = {"multi_query": True, "new_decoder_architecture": True, "num_kv_heads": 4}
    assert heads_of(Fields({"hidden_size": 64, "num_attention_heads": 8, **new})).kv == 4
    mpt = {"d_model": 64, "n_heads": 8, "attn_config": {"kv_n_heads": 2}}
    assert heads_of(Fields(mpt)).kv == 2


@pytest.mark.parametrize("kv", [3, 0])
def test_heads_that_do_not_divide_are_refused(kv):
    with pytest.raises(UnfitModel, match=f"8 attention heads cannot share {kv}"):
        heads_of(Fields({**PLAIN, "num_key_value_heads": kv}))


def test_grouped_queries_have_narrow_keys_and_values():
    parts, kept = attention(Fields(PLAIN), Family(), 512)
    assert count(parts) == 64 * 64 + 2 * 64 * 16 + 64 * 64
    assert kept == Attention(2, 8, 8, 512)


@pytest.mark.parametrize(
    ("family", "more"),
    [
        (Family(qkv_bias=ALWAYS), 64 + 16 + 16),
        (Family(out_bias=ALWAYS), 64),
        (Family(has_qk_norm=ALWAYS), 16),
        (Family(has_qk_norm=ALWAYS, qk_norm="all"), 80),
        (Family(has_qk_norm=ALWAYS, qk_norm="each"), 80),
        (Family(has_sinks=True), 8),
        (Family(has_gated_queries=True), 64 * 64),
    ],
)
def test_what_a_family_adds(family, more):
    plain, _ = attention(Fields(PLAIN), Family(), None)
    parts, _ = attention(Fields(PLAIN), family, None)
    assert count(parts) - count(plain) == more


def test_latent_attention_with_and_without_a_compressed_query():
    family = FAMILIES["deepseek_v3"]
    shared = 64 * 24 + 16 + 16 * 4 * 22 + 40 * 64
    parts, kept = latent_attention(Fields(LATENT), family)
    assert count(parts) == 64 * 80 + shared
    assert kept == [Latent(24)]
    parts, _ = latent_attention(Fields({**LATENT, "q_lora_rank": 32}), family)
    assert count(parts) == 64 * 32 + 32 + 32 * 80 + shared


def test_an_indexer_keeps_a_key_of_its_own():
    more = {"q_lora_rank": 32, "index_head_dim": 6, "index_n_heads": 3}
    _, kept = latent_attention(Fields({**LATENT, **more}), FAMILIES["deepseek_v32"])
    assert kept == [Latent(24), Latent(6)]
