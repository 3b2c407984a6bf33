from __future__ import annotations

import asyncio

from byoi_agent.doctor.finding import Report, failed, ok, warned
from byoi_agent.doctor.round import examine


async def test_a_check_that_hangs_or_breaks_hides_nothing_of_the_others(well):
    async def hangs(_patient):
        await asyncio.Event().wait()

    async def breaks(_patient):
        raise RuntimeError("what a driver")

    async def looks(_patient):
        return [ok("fine", "Fine", "all is")]

    checks = (("Slow", hangs), ("Broken", breaks), ("Fine", looks))
    report = await examine(well(), checks, within_seconds=0.05)
    assert [(one.name, one.state) for one in report.checks] == [
        ("slow", "warn"),
        ("broken", "warn"),
        ("fine", "ok"),
    ]
    assert "what a driver" in report.checks[1].text


async def test_all_checks_of_a_bare_machine_end_and_none_breaks(well):
    report = await examine(well())
    assert not [one.text for one in report.checks if "could not be looked at" in one.text]


def test_only_a_failure_makes_a_machine_unwell():
    assert Report(checks=(ok("a", "A", ""), warned("b", "B", "", "m"))).is_well
    assert not Report(checks=(failed("a", "A", "", "m"),)).is_well
