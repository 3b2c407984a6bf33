from __future__ import annotations

from byoi_agent.planning.cache import State
from byoi_agent.planning.fields import Fields
from byoi_agent.planning.mixers import delta_net, mamba, mamba2


def count(parts):
    return sum(part.parameters for part in parts)


def test_mamba_by_its_own_names():
    fields = {"hidden_size": 32, "state_size": 4, "conv_kernel": 3}
    parts, state = mamba(Fields(fields), has_inner_norms=False)
    assert count(parts) == 32 * 128 + 64 * 4 + 64 * 10 + 2 * 64 + 64 + 64 * 5 + 64 * 32
    assert state == State(64 * 2 + 64 * 4)


def test_jamba_steers_by_normalised_numbers_and_says_its_rank():
    fields = {"hidden_size": 32, "mamba_dt_rank": 3, "intermediate_size": 999, "mamba_expand": 2}
    parts, state = mamba(Fields(fields), has_inner_norms=True)
    steered = 3 + 2 * 16
    convolution = 64 * 4 + 64
    rest = 64 * steered + (3 * 64 + 64) + 64 * 17 + 64 * 32 + steered
    assert count(parts) == 32 * 128 + convolution + rest
    assert state == State(64 * 3 + 64 * 16)


def test_a_rank_may_be_left_to_the_code():
    auto = mamba(Fields({"hidden_size": 32, "time_step_rank": "auto"}), has_inner_norms=False)
    assert auto == mamba(Fields({"hidden_size": 32}), has_inner_norms=False)


def test_biases_are_counted_where_the_config_has_them():
    plain, _ = mamba(Fields({"hidden_size": 32, "use_conv_bias": False}), has_inner_norms=False)
    more, _ = mamba(Fields({"hidden_size": 32, "use_bias": True}), has_inner_norms=False)
    assert count(more) - count(plain) == 64 + 128 + 32


def test_mamba_2_has_heads_and_groups():
    fields = {
        "hidden_size": 32, "num_heads": 8, "head_dim": 8, "n_groups": 2, "state_size": 4,
        "conv_kernel": 4,
    }  # fmt: skip
    parts, state = mamba2(Fields(fields))
    assert count(parts) == 32 * (64 + 80 + 8) + 80 * 5 + 24 + 64 + 64 * 32
    assert state == State(80 * 3 + 64 * 4)
    without, _ = mamba2(Fields(fields), has_norm=False)
    assert count(parts) - count(without) == 64


def test_the_inner_size_is_told_in_three_ways():
    heads = {"hidden_size": 32, "mamba_n_heads": 8, "mamba_d_state": 4}
    told, _ = mamba2(Fields({**heads, "mamba_d_ssm": 48}))
    assert told[0].outputs == 48 + 48 + 8 + 8
    doubled, _ = mamba2(Fields(heads))
    assert doubled[0].outputs == 64 + 64 + 8 + 8


def test_delta_net_keeps_a_matrix_for_each_head():
    fields = {
        "hidden_size": 32, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
        "linear_key_head_dim": 8, "linear_value_head_dim": 6, "linear_conv_kernel_dim": 4,
    }  # fmt: skip
    parts, state = delta_net(Fields(fields))
    assert count(parts) == 32 * (56 + 24) + 32 * 8 + 56 * 4 + 14 + 24 * 32
    assert state == State(56 * 3 + 4 * 8 * 6)
