from __future__ import annotations

from byoi_agent.availability.consents import Pin
from byoi_agent.control.pins import pins_of


def test_a_pin_is_told_as_it_is_kept():
    kept = Pin("pin_1", "org_1", "One", "why", "ada", 5, "granted", "jo", 7)
    (told,) = pins_of([kept]).pins
    assert told.model_dump() == {
        "id": "pin_1",
        "org_id": "org_1",
        "organisation": "One",
        "reason": "why",
        "asked_by": "ada",
        "asked_at_ms": 5,
        "state": "granted",
        "actor": "jo",
        "at_ms": 7,
    }
