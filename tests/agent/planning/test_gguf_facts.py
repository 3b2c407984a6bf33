from __future__ import annotations

import pytest

from byoi_agent.planning.cache import Attention, Latent, State
from byoi_agent.planning.fields import UnfitModel
from byoi_agent.planning.gguf_facts import from_gguf
from byoi_agent.planning.tensors import Tensor

WORDS = Tensor("token_embd.weight", "Q4_K", (64, 100), 3600)
HEAD = Tensor("output.weight", "Q6_K", (64, 100), 5250)
BODY = Tensor("blk.0.attn_q.weight", "Q4_K", (64, 64), 2304)
EXPERTS = Tensor("blk.0.ffn_up_exps.weight", "Q4_K", (64, 32, 8), 9216)


def gguf(family="llama", tensors=(WORDS, HEAD, BODY), **own):
    base = {
        "block_count": 4, "embedding_length": 64, "attention.head_count": 8,
        "attention.head_count_kv": 2, "context_length": 2048, "feed_forward_length": 128,
    }  # fmt: skip
    settings = {f"{family}.{name.replace('__', '.')}": v for name, v in {**base, **own}.items()}
    return from_gguf("a", {"general.architecture": family, **settings}, tensors)


def test_tensors_are_weighed_and_settings_tell_the_rest():
    found = gguf()
    assert (found.parameters, found.weight_bytes) == (16_896, 11_154)
    assert found.read_bytes == 11_154 - 3600
    assert found.computed_parameters == 16_896 - 6400
    assert found.quantisation == "q4_k"
    assert found.memories == (Attention(2, 8, 8),) * 4
    assert (found.vocabulary, found.context_tokens, found.inner_size) == (100, 2048, 128)


def test_a_tied_table_of_words_is_read_for_every_token():
    found = gguf(tensors=(WORDS, BODY))
    assert found.read_bytes == found.weight_bytes == 5904
    assert found.computed_parameters == found.parameters


def test_of_experts_a_token_sees_some():
    found = gguf(tensors=(WORDS, HEAD, BODY, EXPERTS), expert_count=8, expert_used_count=2)
    assert found.expert_bytes == 2304
    assert found.active_parameters == 16_896 + 16_384 / 4
    assert (found.experts, found.active_experts) == (8, 2)


def test_keys_and_values_may_have_sizes_of_their_own():
    found = gguf(attention__key_length=32, attention__value_length=16)
    assert found.memories[0] == Attention(2, 32, 16)


@pytest.mark.parametrize(
    ("family", "spans"),
    [("gemma2", [9, None, 9, None]), ("gemma3", [9] * 4), ("llama", [None] * 4)],
)
def test_windows_hold_for_the_families_that_llama_cpp_gives_them(family, spans):
    found = gguf(family, attention__sliding_window=9)
    assert [one.window_tokens for one in found.memories] == spans


def test_without_a_window_even_such_a_family_looks_at_everything():
    assert gguf("gemma2").memories == (Attention(2, 8, 8),) * 4


def test_latent_attention_is_told_by_its_rank():
    found = gguf("deepseek2", attention__kv_lora_rank=512, rope__dimension_count=64)
    assert found.memories == (Latent(576),) * 4


SSM = {"ssm__state_size": 4, "ssm__inner_size": 16, "ssm__conv_kernel": 4}


def test_layers_without_kv_heads_keep_a_state():
    found = gguf("jamba", attention__head_count_kv=(0, 2, 0, 0), **SSM)
    state = State(16 * 3 + 64)
    assert found.memories == (state, Attention(2, 8, 8), state, state)
    assert found.kv_heads == 2


def test_some_have_both_in_a_layer_and_some_no_attention_at_all():
    both = gguf("falcon-h1", ssm__group_count=1, **SSM)
    assert both.memories == (Attention(2, 8, 8), State(24 * 3 + 64)) * 4
    assert gguf("mamba", **SSM).memories == (State(16 * 3 + 64),) * 4


def test_a_header_that_lies_about_its_layers_is_refused():
    with pytest.raises(UnfitModel, match="100000 layers"):
        gguf(block_count=100_000)
    with pytest.raises(UnfitModel, match="head_count_kv"):
        gguf(attention__head_count_kv=(-1, 2, 2, 2))
