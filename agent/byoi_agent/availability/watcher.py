"""Hears of all that bears on serving, decides anew at each word of it, and tells the decision."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.availability.kept import KeptPause, Switch
from byoi_agent.availability.policy import STEADY_SECONDS, Decision, caused_at, decide
from byoi_agent.availability.rules import Inputs, Now, Pause, Seen, Updating
from byoi_agent.availability.view import AvailabilityView, ReclaimTimes
from byoi_agent.availability.words import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.availability.calendar import CalendarState
    from byoi_agent.availability.kept import KeptWishes
    from byoi_agent.availability.readings import ForeignUse, MachineReading, SessionReading
    from byoi_agent.availability.view import Mode, ModeSource
    from byoi_agent.clock import Clock
    from byoi_agent.config.settings import Settings
    from byoi_agent.hardware.devices import DeviceReading

logger = logging.getLogger(__name__)

LOOKS_SECONDS: Final = 5.0
"""After a start sensors and helpers have so long to say who is there, before anything is loaded."""

_KEPT_ANEW_SECONDS: Final = 60.0
"""The kept end of a pause is written again where the owner's clock was set by more than this."""


def elapsed_seconds() -> float:
    """Seconds that only grow, and that count while the machine is suspended where it can tell."""
    if sys.platform != "win32" and hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Watcher:
    """Sole owner of the decision whether the node serves.

    Every word of a sensor, of the owner or of the clock is a plain call on the event loop, after
    which `view` holds what follows of it; `publish` has heard of it by then. Sessions are to be
    told of at least every half minute: one that falls silent counts as unreadable.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        enrolled: str | None,
        kept: KeptWishes,
        clock: Clock,
        publish: Callable[[AvailabilityView], None],
        elapsed: Callable[[], float] = elapsed_seconds,
        local: Callable[[float], datetime] = datetime.fromtimestamp,
        looks_seconds: float = LOOKS_SECONDS,
    ) -> None:
        self._settings = settings
        self._enrolled = enrolled
        self._kept = kept
        self._clock = clock
        self._publish = publish
        self._elapsed = elapsed
        self._local = local
        self._sessions: dict[str, Seen] = {}
        self._decision = Decision()
        self._caused_at = elapsed()
        self._view = AvailabilityView()
        self._changed = asyncio.Event()
        self._inputs = Inputs(
            mode=self.mode_and_source[0],
            pause=self._kept_pause(),
            looks_until=elapsed() + looks_seconds,
            idle=settings.idle,
            protect=settings.protect,
        )
        self.look()

    @property
    def view(self) -> AvailabilityView:
        """What holds now."""
        return self._view

    def caused_seconds_ago(self) -> float:
        """How long ago the cause of what holds was there: the key, the program, the order."""
        return max(0.0, self._elapsed() - self._caused_at)

    @property
    def mode_and_source(self) -> tuple[Mode, ModeSource]:
        """The owner's mode, and who says so."""
        switch = self._kept.wishes.switch
        if switch is not None and switch.setting == self._settings.mode:
            return switch.mode, "switch"
        if self._settings.mode is not None:
            return self._settings.mode, "setting"
        match self._enrolled:
            case "dedicated" | "idle" | "scheduled" as mode:
                return mode, "enrolment"
            case _:
                return "dedicated", "default"

    async def run(self) -> None:
        """Until cancelled: decides anew when the clock alone changes something."""
        while True:
            self.look()
            self._keep_end_right(Now(self._elapsed(), self._clock.wall()))
            self._changed.clear()
            seconds = max(0.0, self._decision.look_at - self._elapsed())
            async with asyncio.TaskGroup() as tasks:
                at = self._clock.monotonic() + seconds
                timer = tasks.create_task(self._clock.sleep_until(at), name="availability's timer")
                news = tasks.create_task(self._changed.wait(), name="availability's news")
                await asyncio.wait({timer, news}, return_when=asyncio.FIRST_COMPLETED)
                timer.cancel()
                news.cancel()

    # What sensors say.

    def session(self, reading: SessionReading) -> None:
        """A person's session as it is now; to be told again and again."""
        self._sessions[reading.user] = Seen(reading, self._elapsed())
        self._take(sessions=tuple(self._sessions.values()))

    def session_gone(self, user: str) -> None:
        """Nobody of that name is signed in any more."""
        if self._sessions.pop(user, None) is not None:
            self._take(sessions=tuple(self._sessions.values()))

    def machine(self, reading: MachineReading) -> None:
        """Power, network and named programs as they are now."""
        self._take(machine=reading)

    def foreign(self, uses: tuple[ForeignUse, ...]) -> None:
        """All the programs, none of ours, that hold memory of a GPU now."""
        self._take(foreign=uses)

    def calendar(self, state: CalendarState) -> None:
        """What the schedule says now."""
        self._take(calendar=state)

    def hardware(self, devices: tuple[DeviceReading, ...], disk_free_bytes: int | None) -> None:
        """Temperatures, power and disk as they are now."""
        self._take(devices=devices, disk_free_bytes=disk_free_bytes)

    def reclaimed(self, times: ReclaimTimes) -> None:
        """How long reclaims have taken, for the view."""
        self._tell(dataclasses.replace(self._view, reclaims=times))

    # What people say.

    def pin(self, pinned_to: str | None) -> None:
        """The organisation that the owner lets have the node; None: none any more."""
        self._take(pinned_to=pinned_to)

    def pause(self, seconds: float | None, *, finish: bool, actor: str) -> None:
        """The machine is the owner's for so long, or until resumed; a later pause replaces it."""
        ends_at = None if seconds is None else self._elapsed() + seconds
        logger.info("paused", extra={"actor": actor, "seconds": seconds, "finish": finish})
        self._take(pause=Pause(actor, ends_at, finish))
        now = self._clock.wall()
        until = None if seconds is None else now + seconds
        self._kept.keep(pause=KeptPause(since=now, until=until, finish=finish, actor=actor))

    def resume(self, actor: str) -> None:
        """Serve again, as far as nothing else speaks against it."""
        logger.info("resumed", extra={"actor": actor})
        self._take(pause=None)
        self._kept.keep(pause=None)

    def hold_for_update(self, version: str | None, seconds: float, actor: str) -> None:
        """Take nothing new until that version takes over, for so long at most; None: serve again.

        It is not kept: the next start is the update's own.
        """
        updating = None if version is None else Updating(version, self._elapsed() + seconds)
        logger.info("update waits", extra={"actor": actor, "version": version, "seconds": seconds})
        self._take(updating=updating)

    def choose_mode(self, mode: Mode | None, actor: str) -> None:
        """The owner's switch; None: as the settings and the enrolment say."""
        switch = None
        if mode is not None:
            switch = Switch(mode=mode, setting=self._settings.mode, actor=actor)
        self._kept.keep(switch=switch)
        chosen, source = self.mode_and_source
        logger.info("mode chosen", extra={"actor": actor, "mode": chosen, "source": source})
        self._take(mode=chosen)
        self.look()  # the same mode may have another source now

    def take(self, settings: Settings) -> None:
        """Other settings hold from now on."""
        self._settings = settings
        self._take(mode=self.mode_and_source[0], idle=settings.idle, protect=settings.protect)

    # The decision.

    def look(self) -> None:
        """Decide anew."""
        now = Now(self._elapsed(), self._clock.wall())
        pause = self._inputs.pause
        if pause is not None and pause.ends_at is not None and now.elapsed >= pause.ends_at:
            logger.info("pause over", extra={"actor": pause.actor})
            self._inputs = dataclasses.replace(self._inputs, pause=None)
            self._kept.keep(pause=None)
        before, self._decision = self._decision, decide(self._inputs, self._decision, now)
        if (before.state, before.code) != (self._decision.state, self._decision.code):
            self._caused_at = caused_at(before, self._decision, now)
        self._tell(self._view_of(before, now))

    def _take(self, **changes: Any) -> None:  # noqa: ANN401 the fields of Inputs
        inputs = dataclasses.replace(self._inputs, **changes)
        if inputs != self._inputs:
            self._inputs = inputs
            self.look()
            self._changed.set()

    def _view_of(self, before: Decision, now: Now) -> AvailabilityView:
        decision, pause = self._decision, self._inputs.pause
        is_same = (decision.state, decision.code) == (before.state, before.code)
        since = self._view.since if is_same and self._view.since is not None else now.wall
        until = None
        if pause is not None and pause.ends_at is not None:
            until = now.wall + pause.ends_at - now.elapsed
            told = self._view.paused_until
            if told is not None and abs(told - until) < STEADY_SECONDS:
                until = told
        return AvailabilityView(
            mode=self._inputs.mode,
            mode_source=self.mode_and_source[1],
            state=decision.state,
            code=decision.code,
            reason=reason_of(decision, self._inputs, now.wall, self._local),
            is_paused=pause is not None,
            paused_until=until,
            paused_by=None if pause is None else pause.actor,
            since=since,
            until=decision.until,
            pinned_to=self._inputs.pinned_to,
            reclaims=self._view.reclaims,
        )

    def _tell(self, view: AvailabilityView) -> None:
        before, self._view = self._view, view
        if view == before:
            return
        if (view.state, view.code) != (before.state, before.code):
            logger.info(
                "availability changed",
                extra={"state": view.state, "code": view.code, "reason": view.reason},
            )
        self._publish(view)

    def _kept_pause(self) -> Pause | None:
        kept = self._kept.wishes.pause
        if kept is None:
            return None
        left = kept.left_seconds(self._clock.wall())
        return Pause(kept.actor, None if left is None else self._elapsed() + left, kept.finish)

    def _keep_end_right(self, now: Now) -> None:
        """Where the owner's clock was set, the next start must still find the end where it is."""
        kept, pause = self._kept.wishes.pause, self._inputs.pause
        if kept is None or kept.until is None or pause is None or pause.ends_at is None:
            return
        until = now.wall + pause.ends_at - now.elapsed
        if abs(until - kept.until) >= _KEPT_ANEW_SECONDS:
            self._kept.keep(pause=kept.model_copy(update={"since": now.wall, "until": until}))
