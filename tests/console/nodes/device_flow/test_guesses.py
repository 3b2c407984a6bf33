from __future__ import annotations

import asyncio

import pytest

from byoi_console.errors import NotFound, TooManyAttempts
from byoi_console.nodes.device_flow.guesses import (
    FIRST_WAIT_SECONDS,
    FORGOTTEN_SECONDS,
    FREE,
    LONGEST_WAIT_SECONDS,
    WrongCodes,
)
from byoi_console.nodes.device_flow.requests import Approver, DeviceRequest


def wrong(times, place="p", now=0.0, codes=None):
    codes = codes or WrongCodes()
    for _ in range(times):
        codes.failed(place, now)
    return codes


def test_five_wrong_codes_cost_nothing_but_the_last_of_them_begins_the_wait():
    assert wrong(FREE - 1).wait_seconds("p", 0.0) == 0
    assert wrong(FREE).wait_seconds("p", 0.0) == FIRST_WAIT_SECONDS
    assert WrongCodes().wait_seconds("p", 0.0) == 0


def test_the_wait_passes_and_grows_with_each_further_wrong_code():
    codes, now, waits = wrong(FREE), 0.0, []
    for _ in range(9):
        waits.append(codes.wait_seconds("p", now))
        now += waits[-1]
        assert codes.wait_seconds("p", now) == 0
        codes.failed("p", now)
    assert waits[:4] == [30.0, 60.0, 120.0, 240.0]
    assert waits[-1] == LONGEST_WAIT_SECONDS
    assert wrong(10_000).wait_seconds("p", 0.0) == LONGEST_WAIT_SECONDS


def test_an_hour_without_one_makes_the_slate_clean():
    codes = wrong(FREE + 3)
    codes.failed("p", FORGOTTEN_SECONDS + 1)
    assert codes.wait_seconds("p", FORGOTTEN_SECONDS + 1) == 0


def test_places_do_not_pay_for_one_another_and_are_bounded():
    codes = wrong(FREE, "a")
    assert codes.wait_seconds("b", 0.0) == 0
    for number in range(10_000):
        codes.failed(f"other {number}", 0.0)
    assert codes.wait_seconds("a", 0.0) == 0
    assert len(codes._wrong) == 10_000


def asking(machine):
    return DeviceRequest.model_validate(machine.request())


async def test_codes_guessed_all_at_once_are_no_more_than_those_one_by_one(devices, device, org_id):
    begun = await devices.start(asking(device()))
    admin = Approver("person_1", (org_id,))
    codes = ["BBBB-BBBB"] * 20 + [begun.user_code]
    looks = [devices.look(code, admin) for code in codes]
    kinds = [type(end) for end in await asyncio.gather(*looks, return_exceptions=True)]
    assert kinds.count(NotFound) == FREE
    assert kinds.count(TooManyAttempts) >= 20 - FREE


async def test_another_address_of_the_same_network_has_no_tries_of_its_own(devices, device, org_id):
    begun = await devices.start(asking(device()))
    for number in range(FREE):
        other = Approver(f"key_{number}", (org_id,))
        with pytest.raises(NotFound):
            await devices.look("BBBB-BBBB", other, peer=f"2001:db8::{number}")
    with pytest.raises(TooManyAttempts):
        await devices.look(begun.user_code, Approver("person_1", (org_id,)), peer="2001:db8::9")
