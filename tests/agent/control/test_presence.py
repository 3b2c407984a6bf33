from __future__ import annotations

import pytest
from pydantic import ValidationError

from byoi_agent.availability.readings import SessionReading
from byoi_agent.control.presence import SessionReport, reading_of, user_of


@pytest.mark.parametrize(
    ("actor", "named", "user"),
    [
        ("uid 1000 (jo)", "ann", "jo"),
        ("uid 1000", "ann", "uid 1000"),
        ("token", "ann", "ann"),
        ("token", None, None),
        ("dashboard", "ann", None),
        ("unknown", "ann", None),
    ],
)
def test_on_the_socket_nobody_speaks_for_another(actor, named, user):
    assert user_of(actor, named) == user


@pytest.mark.parametrize(
    "field",
    [
        {"idle_seconds": -1},
        {"idle_seconds": float("inf")},
        {"idle_seconds": 1e300},
        {"fullscreen": "x" * 300},
        {"sources": ["x"] * 30},
        {"session": "x" * 300},
        {"colour": "blue"},
    ],
)
def test_what_cannot_be_is_refused(field):
    with pytest.raises(ValidationError):
        SessionReport.model_validate(field)


def test_a_report_becomes_a_reading():
    report = SessionReport(
        user="ann", idle_seconds=2, is_locked=True, fullscreen="a\nfilm", sources=("x", "")
    )
    assert reading_of(report, "jo") == SessionReading("jo", 2.0, True, "a film", ("x",))
