"""What people see of a node's connection, decided by its session and its lease. Pure."""

from __future__ import annotations

from typing import Literal

Presence = Literal["online", "reconnecting", "unknown", "offline"]


def presence(
    *,
    is_live: bool,
    is_connected: bool,
    has_departed: bool,
    seconds_since_seen: float | None,
    lease_seconds: float,
) -> Presence:
    """A node's state in one word.

    `online`: a link carries its session. `offline`: it never came, or left with a goodbye.
    Otherwise it was lost without a word: `reconnecting` within its lease, then `unknown`.

    Args:
        is_live: the registry holds a session of it.
        is_connected: that session has a link now.
        has_departed: it said goodbye when it was last here.
        seconds_since_seen: since its last sign of life; None: it never connected.
        lease_seconds: how long a sign of life counts.
    """
    if is_live and is_connected:
        return "online"
    if seconds_since_seen is None or (has_departed and not is_live):
        return "offline"
    return "reconnecting" if seconds_since_seen <= lease_seconds else "unknown"
