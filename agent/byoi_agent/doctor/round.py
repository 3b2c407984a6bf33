"""All checks, at once and each within its time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from byoi_agent.doctor import (
    configuration,
    console,
    engines,
    fitting,
    folders,
    hardware,
    key,
    node,
    presence,
    updates,
    websocket,
)
from byoi_agent.doctor.finding import Finding, Report, warned

if TYPE_CHECKING:
    from byoi_agent.doctor.patient import Patient

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 20.0

Check = Callable[["Patient"], Awaitable[list[Finding]]]

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("Settings", configuration.check),
    ("Folders", folders.check),
    ("Machine", hardware.check),
    ("Key", key.check),
    ("Console", console.check),
    ("Websocket", websocket.check),
    ("Engine", engines.check),
    ("Fit", fitting.check),
    ("Node", node.check),
    ("People", presence.check),
    ("Updates", updates.check),
)
"""In the order in which their findings should be mended."""


async def examine(
    patient: Patient,
    checks: tuple[tuple[str, Check], ...] = CHECKS,
    within_seconds: float = CHECK_SECONDS,
) -> Report:
    """Look at everything; a check that fails or hangs is a finding of its own."""
    async with asyncio.TaskGroup() as tasks:
        looks = [
            tasks.create_task(_one(title, check, patient, within_seconds))
            for title, check in checks
        ]
    return Report(checks=tuple(finding for look in looks for finding in look.result()))


async def _one(title: str, check: Check, patient: Patient, within_seconds: float) -> list[Finding]:
    try:
        async with asyncio.timeout(within_seconds):
            return await check(patient)
    except TimeoutError:
        reason = f"no answer within {within_seconds:.0f} s"
    except Exception as error:  # one check's fault must not hide what the others found
        logger.exception("check failed", extra={"check": title})
        reason = f"{type(error).__name__}: {error}"
    mend = "try again; if it stays so, please report it with: byoi doctor --bundle"
    return [warned(title.lower(), title, f"could not be looked at: {reason}", mend)]
