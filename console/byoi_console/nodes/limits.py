"""How often a node may say what on one link; a node of ours stays far below. Pure arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_console.policy.limits import Allowed, take
from byoi_wire.errors import ProtocolViolation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_console.policy.limits import Bucket

PER_MINUTE: Final[Mapping[str, int]] = {
    "advertise": 240,  # ours: at most two a second, and those only upon a change
    "status": 240,
    "availability": 240,
    "draining": 60,
    "renew": 60,  # ours: six
    "usage.batch": 3000,  # ours: the next one when the last was acknowledged
}
"""As many may come at once after a quiet minute."""

OTHERS_PER_MINUTE: Final = 60
"""Of what is not a node's to say, or of a later version; each kind is counted by itself."""

IN_ALL_PER_MINUTE: Final = 6000
"""Of all texts together, pings and those that nobody understands included."""

CLOSE_CODE: Final = 1008
_IN_ALL: Final = ""


class ControlLimits:
    """Sole owner of the counts of one link; `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def text(self, now: float) -> None:
        """Count a text message before anything is read of it.

        Raises:
            ProtocolViolation: there were too many.
        """
        self._take(_IN_ALL, IN_ALL_PER_MINUTE, "control messages", now)

    def message(self, kind: str, now: float) -> None:
        """Count a message by its type.

        Raises:
            ProtocolViolation: there were too many of it.
        """
        self._take(kind, PER_MINUTE.get(kind, OTHERS_PER_MINUTE), kind, now)

    def _take(self, name: str, limit: int, what: str, now: float) -> None:
        taken = take(self._buckets.get(name), now, limit)
        if not isinstance(taken, Allowed):
            raise ProtocolViolation(f"too many {what} in a minute", CLOSE_CODE)
        self._buckets[name] = taken.bucket
