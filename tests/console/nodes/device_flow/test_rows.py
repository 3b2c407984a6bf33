from __future__ import annotations

import pytest

from byoi_console.errors import TooManyDevices
from byoi_console.nodes.device_flow import rows
from byoi_console.nodes.device_flow.requests import Approver, DeviceRequest


def asking(machine):
    return DeviceRequest.model_validate(machine.request())


async def test_one_address_cannot_fill_the_table(devices, device, clock, monkeypatch):
    monkeypatch.setattr(rows, "PER_ADDRESS", 3)
    begun = [await devices.start(asking(device()), peer="10.0.0.1") for _ in range(3)]
    assert len({each.user_code for each in begun}) == 3
    with pytest.raises(TooManyDevices) as refused:
        await devices.start(asking(device()), peer="10.0.0.1")
    assert refused.value.retry_after_seconds == 900
    await devices.start(asking(device()), peer="10.0.0.2")
    await devices.deny(begun[0].user_code, Approver("person_1", ()))
    await devices.start(asking(device()), peer="10.0.0.1")
    monkeypatch.setattr(rows, "IN_ALL", 4)
    with pytest.raises(TooManyDevices):
        await devices.start(asking(device()), peer="10.0.0.3")
    clock.seconds += 900
    await devices.start(asking(device()), peer="10.0.0.3")


async def test_an_ipv6_network_is_one_address_of_many(devices, device, monkeypatch):
    monkeypatch.setattr(rows, "PER_ADDRESS", 3)
    for number in range(3):
        await devices.start(asking(device()), peer=f"2001:db8::{number}")
    with pytest.raises(TooManyDevices):
        await devices.start(asking(device()), peer="2001:db8::ffff:1")
    await devices.start(asking(device()), peer="2001:db8:0:1::1")


async def test_two_machines_never_show_the_same_code(devices, device, monkeypatch):
    drawn = iter(["B" * 8, "B" * 8, "B" * 8, "C" * 8])
    monkeypatch.setattr(rows, "new_user_code", lambda _: next(drawn))
    first = await devices.start(asking(device()))
    second = await devices.start(asking(device()))
    assert (first.user_code, second.user_code) == ("BBBB-BBBB", "CCCC-CCCC")
