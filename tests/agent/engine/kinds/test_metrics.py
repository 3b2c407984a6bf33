from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import EngineClient
from byoi_agent.engine.kinds.metrics import ask_load, read_load
from byoi_agent.engine.view import EngineLoad

VLLM = """\
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 10520.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="smol"} 4.0
vllm:num_requests_waiting{engine="0",model_name="smol"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="smol",reason="capacity"} 2.0
vllm:engine_sleep_state{engine="0",model_name="smol",sleep_state="awake"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="smol"} 0.010989010989010972
vllm:prompt_tokens_total{engine="0",model_name="smol"} 1837.0
vllm:prompt_tokens_created{engine="0",model_name="smol"} 1.763742913e+09
vllm:generation_tokens_total{engine="0",model_name="smol"} 2.4e+06
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="smol"} 0.0
"""
LLAMACPP = """\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 31
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 17
llamacpp:prompt_tokens_seconds 201.299
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 1
llamacpp:requests_deferred 0
llamacpp:n_busy_slots_per_decode 1
"""


def test_vllms_names_are_read():
    assert read_load(VLLM) == EngineLoad(4, 2, 0.010989010989010972, 1837, 2_400_000)


def test_what_vllm_says_of_its_context_is_read_and_several_cores_are_added_up():
    info = 'vllm:cache_config_info{block_size="128",engine="%d",kv_cache_size_tokens="%s"} 1.0\n'
    assert read_load(info % (0, 46592)) == EngineLoad(held_tokens=46592)
    assert read_load(info % (0, 400) + info % (1, 400)) == EngineLoad(held_tokens=800)
    for untold in ("None", "", "9" * 5000):
        assert read_load(info % (0, untold)) is None


def test_llamacpps_names_are_read_and_what_it_does_not_tell_is_none():
    assert read_load(LLAMACPP) == EngineLoad(1, 0, None, 31, 17)


def test_several_cores_are_added_up_and_the_fullest_cache_counts():
    lines = [
        f'vllm:num_requests_running{{engine="{n}",model_name="a b}} 7"}} {n}.0 1763742913000\n'
        f'vllm:kv_cache_usage_perc{{engine="{n}",model_name="a b}} 7"}} 0.{n}\n'
        for n in (1, 2)
    ]
    assert read_load("".join(lines)) == EngineLoad(running=3, kv_used=0.2)


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "up 1\n", "vllm:num_requests_running\n", "vllm:num_requests_running NaN\n"],
)
def test_numbers_that_are_none_are_not_shown(text):
    assert read_load(text) is None


def test_numbers_that_are_too_large_together_are_not_shown():
    line = "vllm:prompt_tokens_total 1e308\n"
    assert read_load(line).prompt_tokens == int(1e308)
    assert read_load(2 * line) is None


@given(st.text(alphabet='vlm:numrequestsrunning{}" 0123.\n', max_size=200))
def test_no_text_is_too_odd(text):
    read_load("vllm:num_requests_running" + text)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, LLAMACPP, EngineLoad(1, 0, None, 31, 17)),
        (404, VLLM, None),
        (200, "<html>", None),
    ],
)
async def test_it_is_asked_by_a_fixed_path(engine, status, body, expected):
    engine.table["/metrics"] = (status, body.encode())
    assert await ask_load(engine.client) == expected
    assert engine.paths() == ["/metrics"]


async def test_one_that_is_gone_tells_nothing(tmp_path):
    client = EngineClient(EngineAddress.parse(f"unix://{tmp_path}/none"))
    assert await ask_load(client) is None
