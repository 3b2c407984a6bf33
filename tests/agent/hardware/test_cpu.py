from __future__ import annotations

import pytest

from byoi_agent.hardware import host
from byoi_agent.hardware.cpu import CpuProbe

ZONE = "sys/class/powercap/intel-rapl:0"


class _Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def two_sockets(tree):
    for number, joules in ((0, 1000), (1, 2000)):
        tree.write(
            f"sys/class/powercap/intel-rapl:{number}",
            {
                "name": f"package-{number}",
                "energy_uj": joules * 1_000_000,
                "max_energy_range_uj": 262_143_328_850,
                "constraint_0_power_limit_uw": 280_000_000,
            },
        )
    tree.write(f"{ZONE}:0", {"name": "core", "energy_uj": 77})
    return tree


async def test_the_processor_computes_in_the_machines_memory(tree):
    (device,) = (await CpuProbe(tree.root).read()).devices
    assert (device.kind, device.index, device.is_memory_unified) == ("cpu", 0, True)
    assert device.memory_total_bytes == device.memory_used_bytes + device.memory_free_bytes
    assert device.cores >= 1
    assert device.memory_bandwidth_bytes_per_second is None
    assert (device.power_watts, device.energy_joules, device.power_limit_watts) == (
        None,
        None,
        None,
    )


def test_energy_and_power_are_those_of_all_packages(two_sockets):
    clock = _Clock()
    probe = CpuProbe(two_sockets.root, clock)
    (first,) = probe.now().devices
    assert (first.energy_joules, first.power_watts, first.power_limit_watts) == (3000, None, 560)
    two_sockets.write(ZONE, {"energy_uj": 1_100_000_000})
    clock.now += 2.0
    (second,) = probe.now().devices
    assert (second.energy_joules, second.power_watts) == (3100, 50)


def test_a_counter_that_begins_again_is_no_loss(two_sockets):
    clock = _Clock()
    probe = CpuProbe(two_sockets.root, clock)
    two_sockets.write(ZONE, {"energy_uj": 262_143_328_850})
    before = probe.now().devices[0].energy_joules
    two_sockets.write(ZONE, {"energy_uj": 40_000_000})
    clock.now += 1.0
    (device,) = probe.now().devices
    assert device.energy_joules == pytest.approx(before + 40)
    assert device.power_watts == pytest.approx(40)


def test_a_package_that_root_alone_may_read_is_not_told_as_the_whole(two_sockets):
    (two_sockets.root / ZONE / "energy_uj").unlink()
    (device,) = CpuProbe(two_sockets.root).now().devices
    assert (device.energy_joules, device.power_watts) == (None, None)


def test_how_busy_it_is_is_known_from_the_second_look_on(tree, monkeypatch):
    monkeypatch.setattr(host, "cpu_percent", lambda: 0.0)
    probe = CpuProbe(tree.root)
    assert probe.now().devices[0].utilisation_percent is None
    assert probe.now().devices[0].utilisation_percent == 0
