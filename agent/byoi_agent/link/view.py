"""The link as others see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LinkState = Literal["connecting", "online", "waiting", "stopped"]


@dataclass(frozen=True)
class LinkView:
    """Where the link stands; `reason` is a sentence for the owner where it is not online.

    `since` and `next_try_at` are Unix seconds, for people; `last_error` outlives a link's return.
    """

    state: LinkState = "connecting"
    reason: str | None = None
    session_id: str | None = None
    epoch: int | None = None
    connects: int = 0
    resumes: int = 0
    since: float | None = None
    last_error: str | None = None
    next_try_at: float | None = None
