from __future__ import annotations

import logging

from byoi_agent.serving.refusals import TOLD_SECONDS, Refusals


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


def told(caplog):
    return [(record.reason, record.count) for record in caplog.records]


def test_the_first_of_a_kind_is_told_at_once_and_those_that_follow_in_sum(caplog):
    caplog.set_level(logging.INFO)
    refusals = Refusals(clock := Clock())
    for _ in range(1000):
        refusals.note("over_capacity")
    refusals.note("draining")
    assert told(caplog) == [("over_capacity", 1), ("draining", 1)]
    clock.now += TOLD_SECONDS
    refusals.note("over_capacity")
    assert told(caplog)[-1] == ("over_capacity", 1000)


def test_every_one_is_counted():
    refusals = Refusals(Clock())
    for reason in ("a", "b", "a"):
        refusals.note(reason)
    assert refusals.counts == {"a": 2, "b": 1}
