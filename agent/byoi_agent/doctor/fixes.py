"""What can be mended without asking: nothing of it loses anything, or touches what is not ours."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from byoi_agent.config.lock import StateInUse, StateLock
from byoi_agent.doctor.folders import drafts, too_open
from byoi_agent.engine.leftovers import clear_leftovers
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.doctor.patient import Patient

logger = logging.getLogger(__name__)


async def fix(
    patient: Patient, names: frozenset[str], *, is_the_node: bool = False
) -> dict[str, str]:
    """Mend these findings; returns what was done, by name. What cannot be mended is left as is.

    `is_the_node` where the running node itself does it, which holds the lock, and whose engines
    are no orphans: it ends those of a killed node when it starts.
    """
    done: dict[str, str] = {}
    if "folders" in names and (count := await _counted(_make_private, patient)):
        what = "a file or folder" if count == 1 else f"{count} files and folders"
        done["folders"] = f"rights of {what} taken from others"
    if is_the_node:
        if "leftovers" in names:
            done |= await _leftovers(patient)
        return done
    if not names & {"leftovers", "orphans"}:
        return done
    try:
        with StateLock(patient.paths.lock_file):  # a running node may be writing just now
            if "leftovers" in names:
                done |= await _leftovers(patient)
            if "orphans" in names:
                count = await clear_leftovers(patient.paths.engine_runs_folder)
                done["orphans"] = f"{count} processes ended"
    except (StateInUse, ConfigError, OSError):
        return done
    return done


async def _leftovers(patient: Patient) -> dict[str, str]:
    count = await _counted(_remove_drafts, patient)
    return {} if count is None else {"leftovers": f"{count} removed"}


async def _counted(mend: Callable[[Patient], int], patient: Patient) -> int | None:
    """To how many it was done, beside the loop, as disks hang; None where the disk refuses it."""
    try:
        return await asyncio.to_thread(mend, patient)
    except OSError as error:
        logger.warning("could not be mended", extra={"reason": str(error)})
        return None


def _make_private(patient: Patient) -> int:
    count = 0
    for path in too_open(patient.paths):
        try:
            path.chmod(path.stat().st_mode & 0o700)
        except OSError:
            continue
        count += 1
    return count


def _remove_drafts(patient: Patient) -> int:
    found = drafts(patient.paths)
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
