"""A machine with AMD's cards, as the kernel's documentation of amdgpu and KFD has its files."""

from __future__ import annotations

import pytest

from byoi_agent.hardware.amd import AmdProbe
from byoi_agent.hardware.devices import DeviceProcess

GIB = 1024**3
CARD = "sys/class/drm/card1/device"
NODE = "sys/class/kfd/kfd/topology/nodes/1"


@pytest.fixture
def workstation(tree):
    """A Radeon PRO W7900, and the graphics of the processor beside it."""
    tree.write(
        CARD,
        {
            "uevent": "DRIVER=amdgpu\nPCI_ID=1002:7448\nPCI_SLOT_NAME=0000:03:00.0",
            "device": "0x7448",
            "revision": "0x00",
            "unique_id": "a1b2c3d4e5f60718",
            "mem_info_vram_total": 48 * GIB,
            "mem_info_vram_used": 3 * GIB,
            "gpu_busy_percent": 0,
            "mem_busy_percent": 1,
            "current_link_speed": "16.0 GT/s PCIe",
            "current_link_width": 16,
            "max_link_speed": "16.0 GT/s PCIe",
            "max_link_width": 16,
            "pp_dpm_sclk": "0: 500Mhz *\n1: 2200Mhz \n2: 2495Mhz ",
            "pp_dpm_mclk": "0: 96Mhz \n1: 1124Mhz *",
            "ras/umc_err_count": "ue: 0\nce: 4",  # codespell:ignore ue
            "drm/renderD129/uevent": "",
            "hwmon/hwmon3/name": "amdgpu",
            "hwmon/hwmon3/power1_average": 21_000_000,
            "hwmon/hwmon3/power1_cap": 241_000_000,
            "hwmon/hwmon3/power1_cap_default": 241_000_000,
            "hwmon/hwmon3/power1_cap_min": 0,
            "hwmon/hwmon3/power1_cap_max": 277_000_000,
            "hwmon/hwmon3/temp1_label": "edge",
            "hwmon/hwmon3/temp1_input": 41_000,
            "hwmon/hwmon3/temp2_label": "junction",
            "hwmon/hwmon3/temp2_input": 47_000,
            "hwmon/hwmon3/temp2_crit": 110_000,
            "hwmon/hwmon3/temp2_emergency": 115_000,
            "hwmon/hwmon3/temp3_label": "mem",
            "hwmon/hwmon3/temp3_input": 54_000,
            "hwmon/hwmon3/pwm1": 51,
            "hwmon/hwmon3/pwm1_max": 255,
        },
    )
    tree.write(
        NODE,
        {
            "gpu_id": 4711,
            "properties": "simd_count 192\ngfx_target_version 110000\ndrm_render_minor 129",
        },
    )
    tree.write("sys/class/kfd/kfd/proc/812", {"vram_4711": 2 * GIB, "vram_99": 5})
    tree.write("sys/module/amdgpu", {"version": "6.10.5"})
    tree.write(
        "usr/share/libdrm",
        {
            "amdgpu.ids": "1.0.0\n# a comment\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n"
            "7448,\t00,\tAMD Radeon PRO W7900"
        },
    )
    tree.write(
        "sys/class/drm/card0/device",
        {"uevent": "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:7a:00.0", "mem_info_vram_total": GIB // 2},
    )
    tree.write("sys/class/drm/card1-DP-1", {"status": "connected"})
    return tree


def probe(tree):
    return AmdProbe(tree.root, name_of={812: "llama-server"}.get)


async def test_a_card_is_read_with_its_units_and_the_processors_graphics_are_left_out(workstation):
    reading = await probe(workstation).read()
    assert reading.problem is None
    (card,) = reading.devices
    assert (card.index, card.kind, card.name) == (0, "amd", "AMD Radeon PRO W7900")
    assert (card.pci_bus, card.uuid) == ("0000:03:00.0", "a1b2c3d4e5f60718")
    assert (card.compute_capability, card.driver_version) == ("gfx1100", "6.10.5")
    assert (card.memory_total_bytes, card.memory_used_bytes, card.memory_free_bytes) == (
        48 * GIB,
        3 * GIB,
        45 * GIB,
    )
    assert (card.pcie_generation, card.pcie_width) == (4, 16)
    assert (card.utilisation_percent, card.memory_utilisation_percent) == (0, 1)
    assert (card.power_watts, card.power_limit_watts, card.power_limit_max_watts) == (21, 241, 277)
    assert (card.temperature_celsius, card.memory_temperature_celsius) == (47, 54)
    assert (card.slowdown_celsius, card.shutdown_celsius) == (110, 115)
    assert card.fan_percent == 20
    assert (card.sm_clock_mhz, card.sm_clock_max_mhz) == (500, 2495)
    assert (card.memory_clock_mhz, card.memory_clock_max_mhz) == (1124, 1124)
    assert (card.corrected_ecc_errors, card.uncorrected_ecc_errors) == (4, 0)
    assert card.processes == (DeviceProcess(812, "compute", "llama-server", 2 * GIB),)


def test_what_a_card_does_not_tell_is_none(tree):
    tree.write(
        CARD,
        {"uevent": "DRIVER=amdgpu", "mem_info_vram_total": 16 * GIB, "gpu_busy_percent": "busy"},
    )
    (card,) = probe(tree).now().devices
    told = {name for name, value in vars(card).items() if value is not None}
    assert told == {"index", "kind", "name", "memory_total_bytes"}
    assert card.name == "AMD GPU"


def test_instinct_cards_have_letters_in_their_target(workstation):
    workstation.write(NODE, {"properties": "gfx_target_version 90010\ndrm_render_minor 129"})
    (card,) = probe(workstation).now().devices
    assert card.compute_capability == "gfx90a"


def test_newer_cards_tell_their_power_in_another_file(workstation):
    (workstation.root / CARD / "hwmon/hwmon3/power1_average").unlink()
    workstation.write(CARD, {"hwmon/hwmon3/power1_input": 19_500_000})
    (card,) = probe(workstation).now().devices
    assert card.power_watts == 19.5


def test_the_machines_list_of_pci_names_is_asked_last(workstation):
    (workstation.root / "usr/share/libdrm/amdgpu.ids").unlink()
    workstation.write(
        "usr/share/misc",
        {"pci.ids": "1001  Other\n\t7448  Wrong\n1002  AMD\n\t7448  Navi 31 [Radeon Pro W7900]"},
    )
    (card,) = probe(workstation).now().devices
    assert card.name == "Navi 31 [Radeon Pro W7900]"


async def test_a_lost_card_hides_no_other_and_comes_back(workstation):
    workstation.write(
        "sys/class/drm/card2/device",
        {"uevent": "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:04:00.0", "mem_info_vram_total": 8 * GIB},
    )
    workstation.lose(CARD, "mem_info_vram_total")
    asked = probe(workstation)
    reading = await asked.read()
    assert [card.pci_bus for card in reading.devices] == ["0000:04:00.0"]
    assert [card.index for card in reading.lost] == [0]
    assert reading.problem == "AMD GPU 0 (0000:03:00.0) cannot be read: No such device"
    assert reading.mend
    workstation.gone.clear()
    back = await asked.read()
    assert (len(back.devices), back.problem) == (2, None)


def test_a_machine_without_such_cards_has_none(tree):
    tree.write("sys/class/drm/card0/device", {"uevent": "DRIVER=nouveau"})
    assert probe(tree).now().devices == ()
