from __future__ import annotations

import ctypes

import pynvml
import pytest


@pytest.fixture
def in_process(nvml, nvml_library, machine, monkeypatch):
    """The stand-in as the library of this very process, for nvidia-ml-py to call."""
    monkeypatch.setenv(nvml.VARIABLE, str(machine.file))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(nvml_library / nvml.SONAME)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    return machine
