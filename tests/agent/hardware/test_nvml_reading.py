"""Every state of the stand-in as nvidia-ml-py tells it, and what must hold for all of them."""

from __future__ import annotations

import ctypes
import os
from dataclasses import asdict

import psutil
import pynvml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byoi_agent.hardware.devices import DeviceProcess
from byoi_agent.hardware.nvml import NvmlProbe

GIB = 1024**3


def devices():
    reading = NvmlProbe(name_of={os.getpid(): "server"}.get).now()
    assert reading.problem is None
    return reading.devices


def test_a_server_is_read_with_its_units(nvml, in_process):
    in_process.shows(nvml.server(8, os.getpid()))
    first = devices()[0]
    assert (first.name, first.driver_version, first.cuda_version, first.compute_capability) == (
        "NVIDIA H100 80GB HBM3",
        nvml.DRIVER,
        "12.9",
        "9.0",
    )
    assert (first.pci_bus, first.pcie_generation, first.pcie_width) == ("00000000:1B:00.0", 5, 16)
    assert (first.pcie_generation_max, first.pcie_width_max) == (5, 16)
    assert first.memory_total_bytes == 80 * GIB
    assert first.memory_total_bytes == (
        first.memory_used_bytes + first.memory_reserved_bytes + first.memory_free_bytes
    )
    assert (first.power_watts, first.power_limit_watts) == (71.25, 650)
    assert (first.power_limit_min_watts, first.power_limit_max_watts) == (200, 700)
    assert (first.power_limit_default_watts, first.energy_joules) == (700, 123_456_789)
    assert (first.temperature_celsius, first.memory_temperature_celsius) == (33, 41)
    assert (first.slowdown_celsius, first.shutdown_celsius) == (89, 92)
    assert (first.sm_clock_mhz, first.memory_clock_max_mhz) == (1980, 2619)
    assert (first.throttled_by, first.performance_state) == (("idle",), 0)
    assert (first.utilisation_percent, first.memory_utilisation_percent) == (0, 0)
    assert first.memory_bandwidth_bytes_per_second == 3_352_320_000_000


def test_errors_of_the_memory_are_told_since_the_reset_and_for_life(nvml, in_process):
    in_process.shows(nvml.server(1))
    (card,) = devices()
    assert card.is_ecc_enabled is True
    assert (card.corrected_ecc_errors, card.uncorrected_ecc_errors) == (3, 0)
    assert (card.corrected_ecc_errors_lifetime, card.uncorrected_ecc_errors_lifetime) == (12, 1)
    assert (card.remapped_rows, card.is_row_remap_pending) == (1, False)
    assert (card.retired_pages, card.is_page_retirement_pending) == (None, None)
    in_process.set({"0.retired.0": 2, "0.retired.1": 1, "0.retirement_pending": 1})
    (card,) = devices()
    assert (card.retired_pages, card.is_page_retirement_pending) == (3, True)


def test_links_are_told_with_their_peers_and_speeds(nvml, in_process):
    in_process.shows(nvml.server(1), {"0.nvlink.1": 0})
    (card,) = devices()
    assert len(card.nvlinks) == 18
    first, second, *_ = card.nvlinks
    assert (first.is_active, first.version, first.peer_pci_bus) == (True, 4, "00000000:C0:00.0")
    assert first.bytes_per_second == 26_562_000_000
    assert (second.is_active, second.version, second.bytes_per_second) == (False, None, None)


def test_processes_are_told_once_with_their_memory_and_name_where_permitted(nvml, in_process):
    pid = os.getpid()
    in_process.shows(nvml.server(3, pid), {"0.graphics": f"{pid}:5 77:6", "2.mps": "78:9"})
    first, second, third = devices()
    assert first.processes == (
        DeviceProcess(77, "graphics", None, 6),
        DeviceProcess(pid, "compute", "server", 70 * GIB),
    )
    assert second.processes == (DeviceProcess(pid, "compute", "server", None),)
    assert third.processes == (DeviceProcess(78, "mps", None, 9),)
    in_process.set(
        {"*.compute": f"!{nvml.DENIED}", "*.graphics": None, "*.mps": None, "2.mps": None}
    )
    assert devices()[2].processes is None


def test_a_laptop_is_read_without_what_it_lacks(nvml, in_process):
    in_process.shows(nvml.laptop())
    (card,) = devices()
    told = {name for name, value in asdict(card).items() if value is not None}
    assert told == {
        "index",
        "kind",
        "name",
        "uuid",
        "pci_bus",
        "memory_total_bytes",
        "memory_used_bytes",
        "memory_reserved_bytes",
        "memory_free_bytes",
        "compute_capability",
        "driver_version",
        "cuda_version",
        "utilisation_percent",
        "memory_utilisation_percent",
        "power_watts",
        "temperature_celsius",
        "sm_clock_mhz",
        "throttle_reasons",
        "throttled_by",
    }


def test_a_chip_that_shares_the_machines_memory_has_that(nvml, in_process):
    in_process.shows(nvml.unified())
    (chip,) = devices()
    assert chip.is_memory_unified is True
    assert chip.memory_total_bytes == psutil.virtual_memory().total
    in_process.set({"0.name": "NVIDIA Something Else"})
    (card,) = devices()
    assert (card.is_memory_unified, card.memory_total_bytes) == (None, None)


def test_a_newer_drivers_call_for_the_temperature_is_asked_too(nvml, in_process):
    in_process.shows(nvml.server(1), {"0.temperature_new.0": 61})
    assert devices()[0].temperature_celsius == 33
    in_process.set({"*.temperature.0": None})
    assert devices()[0].temperature_celsius == 61


def test_a_split_card_tells_its_parts(nvml, in_process):
    in_process.shows(nvml.split())
    (card,) = devices()
    assert card.is_mig is True
    assert card.utilisation_percent is None
    first, second = card.mig_instances
    assert (first.index, second.index) == (0, 2)
    assert (first.name, first.memory_total_bytes) == (
        "NVIDIA H100 80GB HBM3 MIG 3g.40gb",
        40 * GIB,
    )
    assert (first.gpu_slices, first.compute_slices, first.multiprocessors) == (3, 3, 60)
    assert (second.gpu_instance, second.compute_instance) == (3, 0)
    assert [part.uuid for part in card.usable()] == [first.uuid, second.uuid]


def test_a_parts_memory_is_known_from_its_slices_where_nothing_else_tells(nvml, in_process):
    in_process.shows(nvml.split(), {"0.mig.0.memory_total": f"!{nvml.DENIED}"})
    (card,) = devices()
    assert card.mig_instances[0].memory_total_bytes == 40 * GIB
    assert card.mig_instances[0].memory_used_bytes is None


def test_a_split_card_before_its_parts_are_made_has_none(nvml, in_process):
    in_process.shows(nvml.server(1), {"*.mig": 1})
    (card,) = devices()
    assert card.mig_instances == ()


def test_an_old_driver_lacks_calls_and_the_rest_is_read(nvml, machine, tmp_path, monkeypatch):
    library = nvml.build(tmp_path / "old", is_old=True)
    monkeypatch.setenv(nvml.VARIABLE, str(machine.file))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(library / nvml.SONAME)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    machine.shows(nvml.server(2, os.getpid()))
    first, _ = devices()
    assert (first.memory_total_bytes, first.memory_reserved_bytes) == (80 * GIB, None)
    assert (first.energy_joules, first.processes, first.is_mig) == (None, None, None)
    assert (first.memory_temperature_celsius, first.remapped_rows) == (None, None)
    assert first.throttled_by == ("idle",)
    assert first.nvlinks[0].bytes_per_second is None


def leaves(value, path=()):
    """Every number of a reading by its place."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, number))
    else:
        yield path, value


KEYS = st.sets(st.integers(0, 200), min_size=1, max_size=12)
ERRORS = st.sampled_from([2, 3, 4, 13, 20, 25, 29, 999, None])


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(chosen=KEYS, error=ERRORS)
@pytest.mark.parametrize("shown", ["server", "laptop", "split"])
def test_what_is_not_supported_is_never_told_as_a_number(nvml, in_process, shown, chosen, error):
    lines = nvml.server(1, 77) if shown == "server" else getattr(nvml, shown)()
    in_process.shows(lines)
    whole = dict(leaves([asdict(device) for device in devices()]))
    keys = [key for key in lines if key not in {"kernel", "count"}]
    gone = {keys[number % len(keys)] for number in chosen}
    refused = {} if error is None else {key: f"!{error}" for key in gone if key != "cuda"}
    in_process.shows({key: value for key, value in lines.items() if key not in gone}, refused)
    for path, value in leaves([asdict(device) for device in devices()]):
        if value is None or path[1] in SHIFTED:
            continue
        assert value == whole.get(path) or path[1] in RECKONED, path


SHIFTED = {"mig_instances", "processes"}
"""Lists: with one entry gone the others have another place."""

RECKONED = {"name", "memory_free_bytes"}
"""The name is told as that of any card; free memory is reckoned from the rest by the driver."""
