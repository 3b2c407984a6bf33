from __future__ import annotations

import json

import pytest

from byoi_agent.config.paths import Paths
from byoi_agent.config.settings import Settings
from byoi_agent.engine import estimate as module
from byoi_agent.engine.estimate import estimate, facts_of, plan_devices, reckon
from byoi_agent.engine.kinds import choice, vllm
from byoi_agent.engine.kinds.vllm_releases import RELEASES
from byoi_agent.hardware.devices import DeviceReading, MigInstance
from byoi_agent.planning.machines import GIB

CONFIG = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "torch_dtype": "bfloat16", "max_position_embeddings": 131072,
}  # fmt: skip
CARD = DeviceReading(0, "nvidia", "NVIDIA H100", memory_total_bytes=80 * GIB)


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "state", tmp_path / "cache", tmp_path / "run")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    table = {"a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}
    head = json.dumps(table).encode()
    (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))
    return folder


@pytest.fixture
def build(monkeypatch):
    """As if this machine had the GPUs for that build."""

    def build(name):
        release = next(one for one in RELEASES if one.build == name)
        monkeypatch.setattr(module, "vllm_release", lambda _: release)

    return build


def on_vllm(folder, **more):
    return Settings(engine="vllm", model=str(folder), **more)


def test_our_defaults_are_those_of_the_engines():
    assert module.LLAMACPP_SLOTS == choice._LLAMACPP_SLOTS
    assert module.LLAMACPP_CONTEXT_TOKENS == choice._LLAMACPP_CONTEXT_TOKENS
    assert module.VLLM_CONTEXT_TOKENS == vllm._CONTEXT_TOKENS


def test_what_is_not_here_or_not_ours_cannot_be_told(paths):
    assert estimate(Settings(), paths) is None
    assert facts_of(Settings(), paths) is None
    assert estimate(Settings(engine="http://127.0.0.1:9"), paths) is None
    assert estimate(Settings(model="no-such-model"), paths) is None


def test_vllm_on_a_processor_takes_the_context_s_memory_in_whole_gib(folder, paths, build):
    build("cpu")
    small = reckon(on_vllm(folder, context_tokens=2048, slots=8), paths)
    assert not small.is_on_devices
    assert (small.model, small.context_tokens, small.concurrency) == ("model", 2048, 8)
    held = estimate(on_vllm(folder, context_tokens=2048, slots=8, kv_cache_gib=2.5), paths)
    assert held - small.memory_bytes == GIB  # 2 GiB hold it, 2.5 are rounded up


def test_vllm_on_gpus_takes_its_share_unless_the_context_s_memory_is_told(folder, paths, build):
    build("cuda")
    assert estimate(on_vllm(folder), paths, [CARD]) == round(80 * GIB * 0.92)
    assert estimate(on_vllm(folder, gpu_memory_share=0.5), paths, [CARD]) == 40 * GIB
    two = estimate(on_vllm(folder, tensor_parallel=2), paths, [CARD, CARD])
    assert two == round(160 * GIB * 0.92)
    told = reckon(on_vllm(folder, kv_cache_gib=4), paths, [CARD])
    assert 4 * GIB < told.memory_bytes < 10 * GIB
    assert told.is_on_devices
    assert estimate(on_vllm(folder, tensor_parallel=2), paths, [CARD]) is None


def test_what_a_vllm_with_a_share_needs_of_it_is_told(folder, paths, build):
    build("cuda")
    one = reckon(on_vllm(folder, context_tokens=1024), paths, [CARD]).demand
    two = reckon(on_vllm(folder, context_tokens=1024, tensor_parallel=2), paths, [CARD] * 2).demand
    assert one.request_bytes == two.request_bytes == 1024 * 131_072
    told = reckon(on_vllm(folder, context_tokens=1024, kv_cache_gib=4), paths, [CARD])
    assert (told.memory_bytes - 4 * GIB, told.demand) == (one.fixed_bytes, None)
    assert two.fixed_bytes > one.fixed_bytes  # the second card has libraries of its own


def test_devices_whose_memory_is_unknown_are_not_planned_with():
    busy = DeviceReading(1, "nvidia", "a", memory_total_bytes=10 * GIB, memory_used_bytes=3 * GIB)
    lost = DeviceReading(2, "nvidia", "b")
    [found] = plan_devices([busy, lost], 64 * GIB)
    assert (found.index, found.memory_bytes, found.free_bytes) == (1, 10 * GIB, 7 * GIB)


def split(index, *gibs):
    parts = tuple(MigInstance(i, memory_total_bytes=gib * GIB) for i, gib in enumerate(gibs))
    return DeviceReading(index, "nvidia", "split", is_mig=True, mig_instances=parts)


def test_parts_of_split_cards_never_work_together():
    [found] = plan_devices([split(0, 10, 20), split(1, 40), split(2)], 64 * GIB)
    assert (found.index, found.memory_bytes) == (1, 40 * GIB)
    assert [one.name for one in plan_devices([split(0, 40), CARD], 64 * GIB)] == ["NVIDIA H100"]
    assert [one.kind for one in plan_devices([split(0)], 64 * GIB)] == ["cpu"]


def test_without_an_accelerator_the_processor_has_the_machine_s_memory():
    processor = DeviceReading(0, "cpu", "EPYC")
    [found] = plan_devices([processor], 64 * GIB)
    assert (found.kind, found.name, found.memory_bytes) == ("cpu", "EPYC", 64 * GIB)
    assert plan_devices([], None) == []
