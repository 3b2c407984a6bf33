from __future__ import annotations

from types import SimpleNamespace

import pytest

from byoi_console.nodes.availability import availability_of
from byoi_wire.messages import Availability


def away(code, **more):
    return Availability(serving=False, code=code, **more)


@pytest.mark.parametrize(
    ("told", "is_drained", "state"),
    [
        (Availability(serving=True), False, "serving"),
        (Availability(serving=True), True, "drained"),
        (away("paused"), True, "drained"),
        (away("paused"), False, "paused"),
        (away("in_use", is_paused=True), False, "paused"),
        (away("scheduled"), False, "scheduled"),
        (away("quiet"), False, "scheduled"),
        (away("draining"), False, "leaving"),
        (away("in_use"), False, "away"),
        (away("of a later version"), False, "away"),
    ],
)
def test_a_node_s_wish_is_one_word(told, is_drained, state):
    facts = SimpleNamespace(availability=told, is_drained=is_drained)
    assert availability_of(facts) == state
