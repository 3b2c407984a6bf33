"""Runs an engine's machine: carries out its commands, turns what happens into its next events."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.engine import life, machine
from byoi_agent.engine.client import EngineClient
from byoi_agent.engine.gauge import Gauge
from byoi_agent.engine.process import Ended, EngineProcess
from byoi_agent.engine.view import EngineView
from byoi_agent.engine.watch import Watch
from byoi_agent.errors import AgentError, ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from typing import Any

    from byoi_agent.clock import Clock
    from byoi_agent.config.tables import AdapterSetting
    from byoi_agent.engine.kinds.base import EngineKind
    from byoi_agent.engine.process import LaunchSpec
    from byoi_agent.engine.view import EngineLoad, EngineState
    from byoi_agent.models.wheels import Progress

logger = logging.getLogger(__name__)

_EVENTS_KEPT: Final = 200
QUIET_SECONDS: Final = 30.0
"""What requests under way get before an engine sleeps or stops, unless the owner says otherwise."""

HURRIED_END_SECONDS: Final = 0.5
"""What an engine gets to leave in good order while the machine's owner waits for its memory."""

_WORDS: Final[Mapping[type[life.State], EngineState]] = {
    life.Stopped: "stopped",
    life.Preparing: "starting",
    life.Starting: "starting",
    life.Ready: "ready",
    life.Quieting: "draining",
    life.FallingAsleep: "draining",
    life.Asleep: "asleep",
    life.Dormant: "asleep",
    life.Waking: "starting",
    life.Draining: "draining",
    life.Ending: "backing_off",
    life.BackingOff: "backing_off",
    life.Failed: "failed",
}


class Run(Protocol):
    """One run of an engine, as `EngineProcess` is one."""

    async def run(self) -> Ended: ...  # noqa: D102
    def terminate(self, within_seconds: float | None = None) -> None: ...  # noqa: D102
    def kill(self) -> None: ...  # noqa: D102
    async def exposed(self) -> tuple[str, ...]: ...  # noqa: D102


class Session:
    """What stands for a run where the engine is not ours: it ends when we are done with it."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    async def run(self) -> Ended:
        """Until we leave; the server does not notice."""
        await self._over.wait()
        return Ended(0)

    def terminate(self, within_seconds: float | None = None) -> None:  # noqa: ARG002
        """Leave."""
        self._over.set()

    def kill(self) -> None:
        """Leave."""
        self._over.set()

    async def exposed(self) -> tuple[str, ...]:
        """Where somebody else's server listens is not ours to say."""
        return ()


class EngineSupervisor:
    """Sole owner of the engine's life; others get its `view`, published on change only.

    `records` is the folder where runs are written down, so that a restarted agent finds what a
    killed one may have left. `report` hears of long steps before the start. Where it `starts`, it
    does so with `run`, else when it is told to. `environment` gives variables for its process, as
    they are right at the start, and raises ConfigError where they cannot be.
    """

    def __init__(
        self,
        kind: EngineKind,
        *,
        publish: Callable[[EngineView], None],
        clock: Clock,
        records: Path,
        report: Callable[[Progress], None] = lambda _: None,
        make_run: Callable[[LaunchSpec, Callable[[int], None]], Run] | None = None,
        starts: bool = True,
        environment: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._kind = kind
        self._publish = publish
        self._clock = clock
        self._records = records
        self._report = report
        self._make_run = make_run or self._make_process
        self._starts = starts
        self._environment = environment
        self._by: float | None = None
        self._client = EngineClient(kind.address)
        self._watch = Watch(kind, self._client, clock, self._tell, self._fault_of_run)
        self._gauge = Gauge(kind, clock, self._measured)
        self._state: life.State = life.Stopped()
        # Unbounded, as its writers are few and each waits for what it caused.
        self._events: asyncio.Queue[life.Event] = asyncio.Queue()
        self._history: deque[tuple[float, str]] = deque(maxlen=_EVENTS_KEPT)
        self._run: Run | None = None
        self._spec: LaunchSpec | None = None
        self._given: Mapping[str, str] = {}
        self._pid: int | None = None
        self._restarts = 0
        self._timer: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._obeying: asyncio.Task[None] | None = None
        self._gauging: asyncio.Task[None] | None = None
        self._load: EngineLoad | None = None
        self._view = self._look_of_it()

    @property
    def view(self) -> EngineView:
        """The engine now."""
        return self._view

    @property
    def client(self) -> EngineClient:
        """Where requests go while the view says ready."""
        return self._client

    @property
    def kind(self) -> EngineKind:
        """What kind of engine it is."""
        return self._kind

    @property
    def history(self) -> tuple[tuple[float, str], ...]:
        """The last events and their (monotonic) times, for whoever must find out what happened."""
        return tuple(self._history)

    def start(self) -> None:
        """It shall serve, awake if it sleeps."""
        self._by = None
        self._tell(life.StartWanted())

    def stop(self, within_seconds: float = QUIET_SECONDS) -> None:
        """It shall not serve; requests under way get so long, then they are cut."""
        self._starts = False
        self._tell(life.StopWanted(within_seconds))

    def sleep(self, within_seconds: float = QUIET_SECONDS) -> None:
        """It shall give its memory back until `start`; requests under way get so long.

        Told before `run`, nothing is started then.
        """
        self._starts = False
        self._tell(life.SleepWanted(within_seconds))

    def release(self, within_seconds: float, by: float, *, is_last: bool = False) -> None:
        """As `sleep`, and killed where its memory is not given back `by` then, a monotonic time.

        Where it `is_last` it shall end: it may have said that it sleeps and have kept its memory.
        """
        self._by = by
        if is_last:
            self.stop(within_seconds)
        else:
            self.sleep(within_seconds)

    def adapt(self, adapters: tuple[AdapterSetting, ...]) -> bool:
        """Have it serve other adapters without a start; False where that cannot be."""
        if not self._kind.adapt(adapters):
            return False
        self._watch.glance()
        return True

    def suspect(self, reason: str) -> None:
        """A request saw it fail: look now rather than at the next turn."""
        logger.info("engine suspected", extra={"reason": reason})
        self._watch.suspect()

    async def run(self) -> None:
        """Until cancelled; nothing of the engine runs when this returns."""
        if self._starts:
            self.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._client.run(), name="engine client")
                while True:
                    event = await self._events.get()
                    self._step(event, tasks)
        finally:
            self._state, self._pid, self._run = life.Stopped(), None, None
            self._show()

    def _tell(self, event: life.Event) -> None:
        self._events.put_nowait(event)

    def _step(self, event: life.Event, tasks: asyncio.TaskGroup) -> None:
        now, before = self._clock.monotonic(), self._state
        self._history.append((now, repr(event)))
        limits = replace(self._kind.limits, can_sleep=self._kind.can_sleep)
        if self._by is not None:
            # A server of somebody else's is not killed: leaving it early brings nothing back.
            sleep = limits.sleep_seconds if self._lends else None
            limits = hurried(limits, self._by - now, sleep)
        self._state, commands = machine.step(before, event, now, limits)
        if type(self._state) is not type(before):
            self._log_change(before)
            self._watch_over(tasks)
        for command in commands:
            self._carry_out(command, tasks, limits)
        self._show()

    def _carry_out(
        self, command: life.Command, tasks: asyncio.TaskGroup, limits: life.Limits
    ) -> None:
        match command:
            case life.Prepare():
                self._preparing = tasks.create_task(self._prepare(), name="prepare engine")
            case life.AbandonPrepare():
                _cancel(self._preparing)
            case life.Spawn():
                # A first attempt is the owner's wish: a start, or waking one that had to be ended.
                self._restarts += getattr(self._state, "attempt", 1) > 1
                self._run = self._new_run()
                tasks.create_task(self._follow(self._run), name="engine")
            case life.CutRequests():
                self._client.cut()
            case life.Sleep():
                order = self._obey(self._kind.sleep)
                self._obeying = tasks.create_task(order, name="engine falls asleep")
            case life.Rouse():
                order = self._obey(self._kind.wake)
                self._obeying = tasks.create_task(order, name="engine wakes")
            case life.Terminate() if self._run is not None:
                self._run.terminate(None if self._by is None else limits.drain_seconds)
            case life.Kill() if self._run is not None:
                self._run.kill()
            case life.WakeAt(at):
                _cancel(self._timer)
                self._timer = tasks.create_task(self._wake(at), name="engine timer")

    async def _prepare(self) -> None:
        try:
            self._given = self._environment()
            self._spec = await self._kind.prepare(self._report)
        except ConfigError as error:
            self._tell(life.PrepareFailed(str(error), is_final=True))
        except (AgentError, OSError) as error:
            self._tell(life.PrepareFailed(str(error), is_final=False))
        else:
            self._tell(life.Prepared())

    async def _obey(self, order: Callable[[EngineClient], Awaitable[None]]) -> None:
        """Its state has a deadline, and leaving that state cancels this."""
        try:
            await order(self._client)
        except EngineError as error:
            logger.warning("engine disobeyed", extra={"reason": str(error)})
            self._tell(life.Disobeyed(str(error)))
        else:
            self._tell(life.Obeyed())

    async def _fault_of_run(self) -> str | None:
        """Why what runs there must not serve: an engine is for this node alone to reach."""
        addresses = () if self._run is None else await self._run.exposed()
        if not addresses:
            return None
        where = ", ".join(addresses)
        return f"it listens at {where}, where others than this machine can reach it"

    async def _follow(self, run: Run) -> None:
        try:
            reason = self._kind.explain(await run.run())
        except OSError as error:
            reason = f"it could not be started: {error}"
        self._run, self._pid = None, None
        await self._client.close()
        self._tell(life.Exited(reason))

    async def _wake(self, at: float) -> None:
        await self._clock.sleep_until(at)
        self._tell(life.Woke())

    def _started(self, pid: int) -> None:
        self._pid = pid
        self._show()

    def _new_run(self) -> Run:
        if self._spec is None:
            return Session()
        if (left := self._kind.address.socket_path) is not None:
            Path(left).unlink(missing_ok=True)  # of an engine that was killed: it would not bind
        return self._make_run(self._spec, self._started)

    def _make_process(self, spec: LaunchSpec, started: Callable[[int], None]) -> Run:
        spec = replace(spec, environment={**spec.environment, **self._given})
        return EngineProcess(spec, records=self._records, on_started=started)

    def _watch_over(self, tasks: asyncio.TaskGroup) -> None:
        """What belongs to a state ends with it."""
        look: Coroutine[Any, Any, None] | None = None
        _cancel(self._obeying)
        self._gauge_while_ready(tasks)
        if isinstance(self._state, life.Starting):
            look = self._watch.until_ready()
        elif isinstance(self._state, life.Ready):
            look = self._watch.while_ready()
        elif isinstance(self._state, life.Quieting):
            look = self._watch.until_quiet()
        _cancel(self._looking)
        self._looking = None if look is None else tasks.create_task(look, name="look at engine")

    def _gauge_while_ready(self, tasks: asyncio.TaskGroup) -> None:
        _cancel(self._gauging)
        self._gauging, self._load = None, None
        if isinstance(self._state, life.Ready):
            self._gauging = tasks.create_task(self._gauge.run(), name="engine's numbers")

    def _measured(self, load: EngineLoad | None) -> None:
        self._load = load
        self._show()

    def _show(self) -> None:
        view = self._look_of_it()
        if view != self._view:
            self._view = view
            self._publish(view)

    def _look_of_it(self) -> EngineView:
        state = self._state
        serves = isinstance(state, life.Ready) and state.doubt is None
        return EngineView(
            state=_word_for(state),
            kind=self._kind.name,
            models=state.models if isinstance(state, life.Ready) and serves else (),
            slots=self._kind.slots if serves else 0,
            own_seats=self._kind.own_seats if serves else 0,
            pid=self._pid,
            url=self._kind.address.url,
            version=self._kind.version,
            reason=getattr(state, "reason", getattr(state, "doubt", None)),
            restarts=self._restarts,
            load=self._load,
            faults=self._kind.faults if serves else (),
            lends=self._lends,
        )

    @property
    def _lends(self) -> bool:
        return isinstance(self._run, Session) and self._kind.can_sleep

    def _log_change(self, before: life.State) -> None:
        state = self._state
        extra = {"engine": self._kind.name, "reason": getattr(state, "reason", None)}
        if isinstance(state, life.Ready):
            logger.info("engine ready", extra={**extra, "models": [m.id for m in state.models]})
        elif isinstance(state, life.BackingOff | life.Failed):
            # Once on failing; the attempts in between are the same story.
            level = logging.INFO if getattr(before, "attempt", 1) > 1 else logging.WARNING
            logger.log(level, "engine down", extra=extra)
        elif isinstance(state, life.Stopped):
            logger.info("engine stopped", extra=extra)
        elif isinstance(state, life.Asleep | life.Dormant):
            logger.info("engine asleep", extra=extra)


def hurried(
    limits: life.Limits, left_seconds: float, sleep_seconds: float | None = None
) -> life.Limits:
    """The same where whatever it does must be done in so many seconds, but for `sleep_seconds`."""
    left = max(0.0, left_seconds)
    return replace(
        limits,
        drain_seconds=min(limits.drain_seconds, left, HURRIED_END_SECONDS),
        sleep_seconds=min(limits.sleep_seconds, left) if sleep_seconds is None else sleep_seconds,
        startup_seconds=min(limits.startup_seconds, left),
    )


def _word_for(state: life.State) -> EngineState:
    is_doubted = isinstance(state, life.Ready) and state.doubt is not None
    return "suspect" if is_doubted else _WORDS[type(state)]


def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
