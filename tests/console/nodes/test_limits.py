from __future__ import annotations

import pytest

from byoi_console.nodes.limits import (
    CLOSE_CODE,
    IN_ALL_PER_MINUTE,
    OTHERS_PER_MINUTE,
    PER_MINUTE,
    ControlLimits,
)
from byoi_wire.errors import ProtocolViolation


@pytest.mark.parametrize(("kind", "limit"), [*PER_MINUTE.items(), ("hello", OTHERS_PER_MINUTE)])
def test_a_node_may_say_each_thing_so_often_a_minute_and_no_oftener(kind, limit):
    limits = ControlLimits()
    for _ in range(limit):
        limits.message(kind, 100.0)
    with pytest.raises(ProtocolViolation, match=f"too many {kind}") as violation:
        limits.message(kind, 100.0)
    assert violation.value.close_code == CLOSE_CODE
    limits.message("something else", 100.0)
    limits.message(kind, 160.0)


def test_a_node_of_ours_is_never_near_a_limit():
    """Twenty minutes of the fastest that an agent of ours can be."""
    limits = ControlLimits()
    for tenth in range(20 * 600):
        now = tenth / 10
        for kind, every in (("advertise", 5), ("status", 5), ("renew", 100), ("usage.batch", 1)):
            if tenth % every == 0:
                limits.text(now)
                limits.message(kind, now)


def test_all_texts_together_are_counted_whatever_they_are():
    limits = ControlLimits()
    for _ in range(IN_ALL_PER_MINUTE):
        limits.text(0.0)
    with pytest.raises(ProtocolViolation, match="control messages"):
        limits.text(0.0)
    limits.text(1.0)
