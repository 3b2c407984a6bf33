"""What a release says of itself: version, what it speaks, what state it reads, its source."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import wheels

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA = 1
"""Of `release.json` and of the rings."""


def release() -> dict[str, Any]:
    """For `release.json`: what a node compares before it takes the release."""
    return {
        "schema": SCHEMA,
        "version": wheels.version(),
        "protocol": protocol(),
        "state_schema": state_schema(),
        "settings_schema": settings_schema(),
        "source": commit(),
    }


def protocol() -> dict[str, int]:
    """The versions of the link that it speaks."""
    from byoi_wire.version import SUPPORTED_VERSIONS  # noqa: PLC0415

    return _range(int(re.sub(r"\D", "", each)) for each in SUPPORTED_VERSIONS)


def state_schema() -> dict[str, int]:
    """The oldest state that it brings up, and the one that it writes."""
    from byoi_agent.lifecycle.state_schema import OLDEST, STATE_SCHEMA  # noqa: PLC0415

    return {"min": OLDEST, "max": STATE_SCHEMA}


def settings_schema() -> int:
    """The newest form of the settings that it knows."""
    from byoi_agent.config.migrations import SETTINGS_SCHEMA  # noqa: PLC0415

    return SETTINGS_SCHEMA


def _range(numbers: Iterable[int]) -> dict[str, int]:
    known = list(numbers)
    return {"min": min(known), "max": max(known)}


def commit() -> str | None:
    """The source that it is built from; None where there is no history."""
    return _git("rev-parse", "HEAD")


def is_clean() -> bool:
    """Whether the tree is that commit and nothing else."""
    return commit() is not None and not _git("status", "--porcelain")


def _git(*words: str) -> str | None:
    done = subprocess.run(
        ["git", "-C", wheels.ROOT, *words], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None
