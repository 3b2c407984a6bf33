from __future__ import annotations

import logging

from byoi_agent.telemetry.health import Health, HealthWarning


def test_a_warning_is_told_once_when_it_begins_and_once_when_it_ends(caplog):
    caplog.set_level(logging.INFO)
    seen = []
    health = Health(seen.append)
    health.warn("disk", "the disk is full", "make room")
    health.warn("disk", "the disk is full", "make room")
    health.warn("disk", "the disk is fuller", "make room")
    health.clear("disk")
    health.clear("disk")
    assert seen == [
        (HealthWarning("disk", "the disk is full", "make room"),),
        (HealthWarning("disk", "the disk is fuller", "make room"),),
        (),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "health warning",
        "health warning over",
    ]


def test_several_warnings_hold_at_once_oldest_first():
    health = Health()
    health.warn("a", "x", "y")
    health.warn("b", "x", "y")
    assert [warning.name for warning in health.warnings] == ["a", "b"]
