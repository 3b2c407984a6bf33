"""A look, what can be mended without asking, and another look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.doctor.finding import Report
from byoi_agent.doctor.fixes import fix
from byoi_agent.doctor.round import examine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.doctor.patient import Patient


async def mend(patient: Patient, *, is_the_node: bool = False) -> Report:
    """What is found after it, with what was done; `is_the_node` as in `fix`."""
    before = await examine(patient)
    names = frozenset(finding.name for finding in before.checks if finding.can_fix)
    if not names or not (done := await fix(patient, names, is_the_node=is_the_node)):
        return before
    return told(before, await examine(patient), done)


def told(before: Report, after: Report, done: Mapping[str, str]) -> Report:
    """The later look, each finding that is gone in the words of what was done about it, first."""
    seen = {finding.name: finding for finding in after.checks}
    well = {"state": "ok", "mend": None, "can_fix": False, "is_fixed": True}
    mended = tuple(
        finding.model_copy(update={**well, "text": done[finding.name]})
        for finding in before.checks
        if finding.name in done and (finding.name not in seen or not seen[finding.name].can_fix)
    )
    replaced = {finding.name for finding in mended}
    others = tuple(finding for finding in after.checks if finding.name not in replaced)
    return Report(checks=(*mended, *others))
