"""A counter of energy that begins at nothing again when it is full, and the power it means."""

from __future__ import annotations


class EnergyCounter:
    """Sole owner of what one counter has told so far.

    `joules` only grows; `watts` is the mean between the last two looks, None before there are two.
    """

    def __init__(self) -> None:
        self.joules: float | None = None
        self.watts: float | None = None
        self._last: tuple[float, float] | None = None

    def add(self, joules: float | None, now: float, full_at: float | None = None) -> None:
        """A look at monotonic `now` seconds; None where the counter cannot be read.

        At `full_at` joules it begins at nothing again; None: it never does, and one that has become
        smaller was started anew.
        """
        last, self._last = self._last, None if joules is None else (joules, now)
        if joules is None or self.joules is None or last is None:
            self.joules = None if joules is None else max(joules, self.joules or 0.0)
            self.watts = None
            return
        drawn = joules - last[0]
        if drawn < 0:
            drawn = joules + (0.0 if full_at is None else full_at - last[0])
        self.joules += drawn
        self.watts = drawn / (now - last[1]) if now > last[1] else None
