from __future__ import annotations

import pytest

from byoi_agent.hardware.intel import IntelProbe

GIB = 1024**3
CARD = "sys/class/drm/card1/device"


class _Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return _Clock()


@pytest.fixture
def battlemage(tree):
    """An Arc B580 run by xe, and the processor's own graphics run by i915."""
    tree.write(
        CARD,
        {
            "uevent": "DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:03:00.0",
            "current_link_speed": "16.0 GT/s PCIe",
            "current_link_width": 8,
            "tile0/physical_vram_size_bytes": f"{12 * GIB:#x}",
            "tile0/gt0/freq0/act_freq": 400,
            "tile0/gt0/freq0/rp0_freq": 2850,
            "tile0/gt0/freq0/throttle/reason_pl1": 1,
            "tile0/gt0/freq0/throttle/reason_pl2": 1,
            "tile0/gt0/freq0/throttle/reason_thermal": 0,
            "hwmon/hwmon2/energy1_input": 5_000_000_000,
            "hwmon/hwmon2/power1_max": 190_000_000,
            "hwmon/hwmon2/power1_rated_max": 0,
            "hwmon/hwmon2/temp2_label": "pkg",
            "hwmon/hwmon2/temp2_input": 44_000,
            "hwmon/hwmon2/temp2_crit": 105_000,
            "hwmon/hwmon2/temp3_label": "vram",
            "hwmon/hwmon2/temp3_input": 50_000,
        },
    )
    tree.write(
        "sys/class/drm/card0/device",
        {"uevent": "DRIVER=i915\nPCI_SLOT_NAME=0000:00:02.0", "gt_act_freq_mhz": 300},
    )
    tree.write(
        "usr/share/misc", {"pci.ids": "8086  Intel Corporation\n\te20b  Battlemage G21 [Arc B580]"}
    )
    return tree


async def test_a_card_is_read_and_the_processors_graphics_are_left_out(battlemage, clock):
    reading = await IntelProbe(battlemage.root, clock).read()
    (card,) = reading.devices
    assert (card.index, card.kind, card.name) == (0, "intel", "Battlemage G21 [Arc B580]")
    assert card.memory_total_bytes == 12 * GIB
    assert (card.memory_used_bytes, card.utilisation_percent) == (None, None)
    assert (card.pcie_generation, card.pcie_width, card.pcie_width_max) == (4, 8, None)
    assert (card.sm_clock_mhz, card.sm_clock_max_mhz) == (400, 2850)
    assert card.throttled_by == ("power limit",)
    assert (card.power_limit_watts, card.power_limit_default_watts) == (190, None)
    assert (card.temperature_celsius, card.memory_temperature_celsius) == (44, 50)
    assert (card.slowdown_celsius, card.shutdown_celsius) == (105, None)


def test_power_is_the_energy_between_two_looks(battlemage, clock):
    probe = IntelProbe(battlemage.root, clock)
    (first,) = probe.now().devices
    assert (first.power_watts, first.energy_joules) == (None, 5000)
    battlemage.write(CARD, {"hwmon/hwmon2/energy1_input": 5_090_000_000})
    clock.now += 2.0
    (second,) = probe.now().devices
    assert (second.power_watts, second.energy_joules) == (45, 5090)


def test_the_older_driver_tells_clocks_elsewhere_and_no_memory(tree, clock):
    tree.write(
        CARD,
        {
            "uevent": "DRIVER=i915\nPCI_SLOT_NAME=0000:03:00.0",
            "drm/card1/gt_act_freq_mhz": 600,
            "drm/card1/gt_RP0_freq_mhz": 2400,
            "drm/card1/gt/gt0/throttle_reason_pl1": 0,
            "drm/card1/gt/gt0/throttle_reason_thermal": 1,
        },
    )
    (card,) = IntelProbe(tree.root, clock).now().devices
    assert (card.name, card.memory_total_bytes, card.power_watts) == ("Intel GPU", None, None)
    assert (card.sm_clock_mhz, card.sm_clock_max_mhz) == (600, 2400)
    assert card.throttled_by == ("temperature (hardware)",)


def test_builds_that_tell_the_memory_are_believed(tree, clock):
    tree.write(CARD, {"uevent": "DRIVER=i915", "lmem_total_bytes": 16 * GIB})
    (card,) = IntelProbe(tree.root, clock).now().devices
    assert card.memory_total_bytes == 16 * GIB
    assert card.throttled_by is None


def test_a_lost_card_is_a_problem_and_hides_no_other(battlemage, clock):
    battlemage.write(
        "sys/class/drm/card2/device", {"uevent": "DRIVER=xe\nPCI_SLOT_NAME=0000:09:00.0"}
    )
    battlemage.lose(CARD, "hwmon/hwmon2/energy1_input")
    reading = IntelProbe(battlemage.root, clock).now()
    assert [(card.index, card.pci_bus) for card in reading.devices] == [(1, "0000:09:00.0")]
    assert reading.problem == "Intel GPU 0 (0000:03:00.0) cannot be read: No such device"
    assert reading.lost[0].problem == "No such device"
