from __future__ import annotations

import json
from dataclasses import replace

import pytest

from byoi_agent.engine.kinds.vllm_arguments import (
    Launch,
    argv_of,
    default_kv_gib,
    environment_of,
)
from byoi_agent.engine.kinds.vllm_families import Parsers

CPU = Launch(
    build="cpu",
    python="/e/bin/python",
    model_folder="/m/smol",
    served_name="smollm2-135m-instruct",
    socket_path="/run/1/engine.sock",
    scratch_folder="/run/1/vllm",
    cache_folder="/c/vllm-cache",
    context_tokens=2048,
    slots=8,
    shutdown_seconds=20,
    kv_gib=1,
    sampling={"temp": 0.2, "top_p": 0.9},
)
CUDA = replace(CPU, build="cuda", kv_gib=None)


def value(argv, flag):
    return argv[argv.index(flag) + 1]


def test_the_whole_line_for_a_cpu():
    assert argv_of(CPU) == (
        *("/e/bin/python", "-I", "-m", "vllm.entrypoints.cli.main", "serve", "/m/smol"),
        *("--served-model-name", "smollm2-135m-instruct", "--uds", "/run/1/engine.sock"),
        *("--max-model-len", "2048", "--max-num-seqs", "8", "--shutdown-timeout", "20"),
        *("--generation-config", "vllm", "--override-generation-config"),
        '{"temperature": 0.2, "top_p": 0.9}',
        *("--enable-prompt-tokens-details", "--enable-server-load-tracking"),
        *("--disable-access-log-for-endpoints", "/health,/load,/metrics,/ping,/v1/models"),
        "--enforce-eager",
    )
    assert environment_of(CPU)["VLLM_CPU_KVCACHE_SPACE"] == "1"


def test_the_owners_seats_are_beyond_the_slots_and_come_first():
    argv = argv_of(replace(CPU, own_seats=2))
    assert (value(argv, "--max-num-seqs"), value(argv, "--scheduling-policy")) == ("10", "priority")
    assert "--scheduling-policy" not in argv_of(CPU)


def test_nothing_of_it_goes_out_or_listens_beyond_this_machine():
    for launch in (CPU, CUDA):
        told = environment_of(launch)
        assert told["HF_HUB_OFFLINE"] == told["VLLM_NO_USAGE_STATS"] == told["DO_NOT_TRACK"] == "1"
        assert told["VLLM_HOST_IP"] == "127.0.0.1"
        assert told["VLLM_RPC_BASE_PATH"] == "/run/1/vllm"
        assert not {"--host", "--port", "--trust-remote-code"} & set(argv_of(launch))


def test_a_small_machine_is_not_starved_by_threads_that_spin():
    told = environment_of(CPU)
    assert (told["OMP_WAIT_POLICY"], told["KMP_BLOCKTIME"]) == ("PASSIVE", "0")


def test_routes_for_sleeping_are_there_only_where_it_can_sleep():
    assert "--enable-sleep-mode" in argv_of(CUDA)
    assert environment_of(CUDA)["VLLM_SERVER_DEV_MODE"] == "1"
    assert "--enable-sleep-mode" not in argv_of(CPU)
    assert "VLLM_SERVER_DEV_MODE" not in environment_of(CPU)


def test_a_gpus_memory_is_a_share_or_a_size_or_its_own_choice():
    assert "--gpu-memory-utilization" not in argv_of(CUDA)
    assert value(argv_of(replace(CUDA, gpu_share=0.5)), "--gpu-memory-utilization") == "0.5"
    sized = argv_of(replace(CUDA, gpu_share=0.5, kv_gib=1.5))
    assert value(sized, "--kv-cache-memory-bytes") == str(3 * 2**29)
    assert "--gpu-memory-utilization" not in sized
    assert "VLLM_CPU_KVCACHE_SPACE" not in environment_of(CUDA)


def test_gpus_work_together_where_that_was_asked_for():
    assert value(argv_of(replace(CUDA, gpus=4)), "--tensor-parallel-size") == "4"


def test_a_cpus_share_is_whole_gibs():
    assert environment_of(replace(CPU, kv_gib=1.2))["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert environment_of(replace(CPU, kv_gib=None))["VLLM_CPU_KVCACHE_SPACE"] == "1"


def test_parsers_are_named_where_they_are_known():
    argv = argv_of(replace(CPU, parsers=Parsers("hermes", "qwen3")))
    assert value(argv, "--tool-call-parser") == "hermes"
    assert "--enable-auto-tool-choice" in argv
    assert value(argv, "--reasoning-parser") == "qwen3"
    assert "--enable-auto-tool-choice" not in argv_of(CPU)


def test_a_model_without_defaults_of_ours_gets_none():
    assert "--override-generation-config" not in argv_of(replace(CPU, sampling={}))


def test_every_default_that_the_catalogue_may_hold_has_vllms_name():
    sampling = {"temp": 1, "top_k": 2, "top_p": 0.3, "min_p": 0.4, "repeat_penalty": 1.1}
    argv = argv_of(replace(CPU, sampling=sampling))
    assert set(json.loads(value(argv, "--override-generation-config"))) == {
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "repetition_penalty",
    }


SMOLLM2 = {
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "hidden_size": 576,
    "dtype": "bfloat16",
}


@pytest.mark.parametrize(
    ("config", "context", "slots", "gib"),
    [
        (SMOLLM2, 46_592, 1, 1),  # vLLM itself said that so many tokens fit into one GiB
        (SMOLLM2, 46_700, 1, 2),
        (SMOLLM2, 2048, 8, 1),
        ({**SMOLLM2, "dtype": "float32"}, 46_592, 1, 2),
        ({"text_config": SMOLLM2}, 46_592, 2, 2),
        # an 8-billion Llama: 128 KiB a token; without head_dim and KV heads of its own
        (
            {"num_hidden_layers": 32, "num_attention_heads": 8, "hidden_size": 1024},
            8192,
            1,
            1,
        ),
        ({}, 2048, 8, 1),
        # one number for each layer, and what is none
        ({**SMOLLM2, "num_key_value_heads": [1, 3]}, 46_700, 1, 2),
        ({**SMOLLM2, "num_attention_heads": "many", "text_config": [1]}, 46_700, 1, 2),
        ({**SMOLLM2, "num_hidden_layers": -3}, 2048, 8, 1),
        ({**SMOLLM2, "num_hidden_layers": float("inf")}, 2048, 8, 1),
    ],
)
def test_memory_for_the_context_follows_from_the_models_shape(config, context, slots, gib):
    assert default_kv_gib(config, context, slots) == gib


def test_adapters_take_room_only_where_there_are_some():
    assert "--enable-lora" not in argv_of(CUDA)
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in environment_of(CUDA)
    some = replace(CUDA, adapters=3, adapter_rank=64)
    assert "--enable-lora" in argv_of(some)
    assert value(argv_of(some), "--max-loras") == "3"
    assert value(argv_of(some), "--max-lora-rank") == "64"
    assert environment_of(some)["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"


def test_a_models_own_code_runs_only_where_its_owner_said_so():
    assert "--trust-remote-code" in argv_of(replace(CPU, runs_own_code=True))
