from __future__ import annotations

from dataclasses import replace

import pytest

from byoi_agent.config.paths import prepare, resolve
from byoi_agent.config.settings import Settings
from byoi_agent.doctor.patient import Patient
from byoi_agent.hardware.devices import DeviceReading, ProbeReading

PROCESSOR = DeviceReading(index=0, kind="cpu", name="Some processor")


class Probe:
    """Devices as the test says."""

    def __init__(self):
        self.reading = ProbeReading((PROCESSOR,))

    async def read(self):
        return self.reading


@pytest.fixture
def probe():
    return Probe()


@pytest.fixture
def well(tmp_path, probe):
    """A machine with its folders made and nothing wrong; `well(name=value)` changes its parts."""
    settings = Settings(
        data_dir=tmp_path / "d", cache_dir=tmp_path / "c", runtime_dir=tmp_path / "r"
    )
    paths = resolve(settings, {})
    prepare(paths)
    patient = Patient(settings=settings, paths=paths, environment={}, probe=probe)
    return lambda **parts: replace(patient, **parts)


@pytest.fixture
def told():
    """Findings by name."""
    return lambda findings: {finding.name: finding for finding in findings}
