"""Whether the settings are right, and what they name is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from byoi_agent.config.check import problems_in_environment, problems_of
from byoi_agent.doctor.finding import failed, ok, warned

if TYPE_CHECKING:
    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient

_NAME: Final = "settings"
_TITLE: Final = "Settings"


async def check(patient: Patient) -> list[Finding]:
    """The file's mistakes, and those of the variables."""
    return [await asyncio.to_thread(_look, patient)]


def _look(patient: Patient) -> Finding:
    file = patient.config_file
    is_there = file is not None and file.exists()
    in_file = problems_of(file) if file is not None and is_there else ()
    if file is not None and in_file:
        told = "; ".join(problem.told(file) for problem in in_file)
        return failed(_NAME, _TITLE, told, "mend the file, then: byoi config check")
    if strays := problems_in_environment(patient.environment):
        return warned(_NAME, _TITLE, "; ".join(strays), "mend or unset these variables")
    said = f"{file} has no mistake" if is_there else "none are set: the defaults hold"
    return ok(_NAME, _TITLE, said)
