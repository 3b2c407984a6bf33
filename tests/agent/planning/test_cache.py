from __future__ import annotations

import pytest

from byoi_agent.planning.cache import (
    Attention,
    Keeping,
    Latent,
    State,
    bytes_per_token,
    sequence_bytes,
    state_bytes,
)

FULL = Attention(8, 128, 128)
WINDOW = Attention(8, 128, 128, 1024)
LATENT = Latent(576)
STATE = State(1000)


def test_a_token_takes_two_vectors_for_each_kv_head():
    assert bytes_per_token([FULL] * 32, Keeping()) == 2 * 32 * 8 * 128 * 2
    assert bytes_per_token([FULL] * 32, Keeping(element_bytes=1)) == 2 * 32 * 8 * 128


def test_latent_attention_takes_one_vector_and_a_state_nothing():
    assert bytes_per_token([LATENT, STATE], Keeping()) == 1152


def test_beyond_its_windows_a_token_costs_the_other_layers_alone():
    assert bytes_per_token([FULL, WINDOW], Keeping(), growing=True) == 4096


def test_kv_heads_are_shared_by_devices_and_never_halved():
    assert bytes_per_token([FULL], Keeping(tensor_parallel=4)) == 1024
    assert bytes_per_token([FULL], Keeping(tensor_parallel=16)) == 512
    assert bytes_per_token([LATENT], Keeping(tensor_parallel=16)) == 1152


@pytest.mark.parametrize(("tokens", "kept"), [(1, 16), (16, 16), (17, 32), (4096, 4096)])
def test_a_context_is_handed_out_in_blocks(tokens, kept):
    assert sequence_bytes([FULL], Keeping(), tokens) == kept * 4096


def test_a_window_keeps_its_newest_tokens_and_a_step():
    keeping = Keeping(slack_tokens=512)
    assert sequence_bytes([WINDOW], keeping, 1000) == 1008 * 4096
    assert sequence_bytes([WINDOW], keeping, 100_000) == 1536 * 4096


def test_a_state_is_of_one_size_however_long_the_text():
    keeping = Keeping(state_bytes=4, tensor_parallel=2)
    assert sequence_bytes([STATE], keeping, 10) == sequence_bytes([STATE], keeping, 10**6) == 2000
    assert state_bytes([STATE, FULL], keeping) == 2000
