from __future__ import annotations

import io

import pytest
from rich.console import Console

from byoi_agent.cli.devices_view import devices_view, lines_of, power_of
from byoi_agent.hardware.devices import DeviceProcess, DeviceReading, MigInstance, NvLink
from byoi_agent.hardware.host import Surroundings

GIB = 1024**3


def card(index=0, **fields):
    return DeviceReading(index=index, kind="nvidia", name="NVIDIA H100 80GB HBM3", **fields)


def drawn(*devices, around=None, problem=None):
    console = Console(file=io.StringIO(), width=80)
    console.print(devices_view(devices, around or Surroundings(), problem))
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"throttled_by": ("idle", "power limit")}, ("slowed by", "power limit")),
        (
            {"uncorrected_ecc_errors": 2},
            ("errors", "2 uncorrected in memory since the last reset"),
        ),
        (
            {"has_row_remap_failed": True},
            ("errors", "a row of memory could not be replaced: have the card exchanged"),
        ),
        (
            {"is_page_retirement_pending": True},
            ("errors", "bad memory is taken out of use at the next reset: restart the machine"),
        ),
        (
            {"pcie_width": 4, "pcie_width_max": 16},
            ("bus", "PCIe x4 of x16: look at the slot"),
        ),
        (
            {"is_mig": True, "mig_instances": (MigInstance(3, None, None, 10 * GIB, None),)},
            ("part 3", "instance 3, - of 10.0 GiB, no name"),
        ),
        (
            {"is_mig": True, "mig_instances": ()},
            ("parts", "none yet: MIG is on, and nothing can use the card until they are made"),
        ),
        (
            {"processes": (DeviceProcess(7, "compute"), DeviceProcess(8, "mps", "vllm", GIB))},
            ("used by", "a process (7), vllm (8) 1.0 GiB"),
        ),
    ],
)
def test_what_is_worth_knowing_has_a_line(fields, line):
    assert list(lines_of(card(**fields))) == [line]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"throttled_by": ("idle",)},
        {"throttled_by": ()},
        {"uncorrected_ecc_errors": 0, "corrected_ecc_errors": 5},
        {"pcie_width": 16, "pcie_width_max": 16},
        {"processes": ()},
    ],
)
def test_what_is_well_or_unknown_has_none(fields):
    assert list(lines_of(card(**fields))) == []


def test_many_processes_are_counted():
    processes = tuple(DeviceProcess(pid, "compute") for pid in range(9))
    ((_, text),) = lines_of(card(processes=processes))
    assert text.endswith("a process (5), 3 more")


def test_figures_that_are_not_known_are_no_zeros():
    assert power_of(card()) == "-"
    assert power_of(card(power_watts=3.2)) == "3 W"
    assert power_of(card(power_watts=3.2, power_limit_watts=70.0)) == "3 of 70 W"


def test_eight_cards_fit_80_columns_on_one_row_each():
    cards = [
        card(
            index,
            memory_used_bytes=70 * GIB,
            memory_total_bytes=80 * GIB,
            utilisation_percent=100,
            power_watts=650.0,
            power_limit_watts=700.0,
            temperature_celsius=71,
            sm_clock_mhz=1980,
            driver_version="575.51.03",
            cuda_version="12.9",
            nvlinks=(NvLink(0, True, 4, None, 26_000_000_000),),
        )
        for index in range(8)
    ]
    lines = drawn(*cards, around=Surroundings(80.0, False, 1000)).splitlines()
    assert sum("650 of 700 W" in line for line in lines) == 8
    assert "NVLink   1 of 1 links of a card active, 26 GB/s each way" in map(str.rstrip, lines)
    assert "driver   575.51.03, CUDA up to 12.9" in map(str.rstrip, lines)
    assert "battery  80 %, discharging" in map(str.rstrip, lines)
    assert "network  1000 Mbit/s" in map(str.rstrip, lines)


def test_links_that_differ_are_told_of_each_card():
    whole = card(0, nvlinks=(NvLink(0, True), NvLink(1, True)))
    half = card(1, nvlinks=(NvLink(0, True, 4, None, 25_000_000_000), NvLink(1, False)))
    text = drawn(whole, half)
    assert "2 of 2 links of a card active" in text
    assert "1 of 2 links of a card active, 25 GB/s each way" in text


def test_the_words_of_others_do_not_steer_the_terminal():
    process = DeviceProcess(7, "compute", "\x1b[2Jevil")
    text = drawn(card(processes=(process,)))
    assert "\x1b[2J" not in text
    assert "evil" in text


def test_a_problem_is_shown_before_the_details_which_a_small_terminal_cuts_off():
    cards = [card(index, processes=(DeviceProcess(7, "compute"),)) for index in range(8)]
    lines = drawn(*cards, problem="GPU 3 is lost").splitlines()
    assert lines[len(cards) + 2] == "warning  GPU 3 is lost"
