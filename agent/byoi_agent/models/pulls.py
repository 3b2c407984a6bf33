"""Pulls of models while the node serves: two at once, each told of and ended by its owner."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models.wheels import RATE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.clock import Clock
    from byoi_agent.models.names import Reference
    from byoi_agent.models.pull import Outcome
    from byoi_agent.models.wheels import Progress

    Fetch = Callable[[Reference, str | None, bool, Callable[[Progress], None]], Awaitable[Outcome]]

logger = logging.getLogger(__name__)

AT_ONCE: Final = 2
MOST_WAITING: Final = 16
_MOST_KEPT: Final = 20
PullState = Literal["waiting", "pulling", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class PullView:
    """One pull now; times are Unix seconds.

    `file` is the one that was named where there are several GGUFs. `bytes_per_second` is the mean
    of the phase that is under way. `error` says why it failed, `came` what is here once it is done
    (NAME@COMMIT), and `removed` names what went to make room.
    """

    id: str
    model: str
    state: PullState
    began_at: float
    phase: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None
    bytes_per_second: float | None = None
    ended_at: float | None = None
    error: str | None = None
    came: str | None = None
    removed: tuple[str, ...] = ()
    file: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in {"done", "failed", "cancelled"}


class Pulls:
    """Sole owner of the node's pulls. What came of one that ended early is kept for the next.

    `fetch` does one, and `publish` hears of every change.
    """

    def __init__(self, fetch: Fetch, publish: Callable[[PullView], None], clock: Clock) -> None:
        self._fetch = fetch
        self._publish = publish
        self._clock = clock
        self._views: dict[str, PullView] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def views(self) -> tuple[PullView, ...]:
        """Those under way and the last that ended, in the order in which they were begun."""
        return tuple(self._views.values())

    async def run(self) -> None:
        """Until cancelled; nothing is pulled when this returns."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()  # the group's tasks come and go; its end is ours
            finally:
                self._tasks = None

    def begin(self, reference: Reference, *, file: str | None, is_pinned: bool) -> PullView:
        """Have a model come; of one that is under way already, that one is told.

        Raises:
            ConfigError: too many wait, or the node ends.
        """
        model = str(reference)
        for view in self._views.values():
            if (view.model, view.file) == (model, file) and not view.is_over:
                return view
        if self._tasks is None:
            raise ConfigError("the node starts or ends; ask again when it runs")
        if len(self._running) >= MOST_WAITING + AT_ONCE:
            raise ConfigError("too many pulls wait already; let some of them end first")
        view = PullView(secrets.token_hex(6), model, "waiting", self._clock.wall(), file=file)
        self._keep(view)
        self._running[view.id] = self._tasks.create_task(
            self._pull(view.id, reference, file, is_pinned), name=f"pull {model}"
        )
        return view

    def cancel(self, pull_id: str) -> PullView:
        """End a pull; what came of it is kept.

        Raises:
            ConfigError: there is none of that id.
        """
        if (view := self._views.get(pull_id)) is None:
            raise ConfigError(f"there is no pull {pull_id}; see: GET /api/models/pulls")
        if (task := self._running.get(pull_id)) is not None:
            task.cancel()
            self._change(pull_id, state="cancelled", ended_at=self._clock.wall())
        return self._views.get(pull_id, view)

    async def _pull(
        self, pull_id: str, reference: Reference, file: str | None, is_pinned: bool
    ) -> None:
        try:
            async with self._turns:
                self._change(pull_id, state="pulling")
                report = _Report(lambda **changed: self._change(pull_id, **changed), self._clock)
                outcome = await self._fetch(reference, file, is_pinned, report)
        except AgentError as error:
            logger.warning("pull failed", extra={"model": str(reference), "said": str(error)})
            self._end(pull_id, state="failed", error=str(error))
        except asyncio.CancelledError:
            self._end(pull_id, state="cancelled")
            raise
        except Exception:
            logger.exception("pull failed", extra={"model": str(reference)})
            self._end(
                pull_id, state="failed", error="a fault of the agent; its log has the details"
            )
        else:
            logger.info("model pulled", extra={"model": str(reference)})
            came = f"{outcome.pulled.name}@{outcome.pulled.manifest.commit}"
            self._end(pull_id, state="done", came=came, removed=outcome.removed)
        finally:
            self._running.pop(pull_id, None)

    def _end(self, pull_id: str, **changed: object) -> None:
        self._change(pull_id, ended_at=self._clock.wall(), **changed)

    def _change(self, pull_id: str, **changed: object) -> None:
        view = self._views.get(pull_id)
        if view is not None and not view.is_over:
            self._keep(replace(view, **changed))  # type: ignore[arg-type]

    def _keep(self, view: PullView) -> None:
        self._views[view.id] = view
        over = [key for key, one in self._views.items() if one.is_over]
        for key in over[: max(0, len(over) - _MOST_KEPT)]:
            del self._views[key]
        self._publish(view)


class _Report:
    """Progress as it is told: with its speed, and not with every byte."""

    def __init__(self, change: Callable[..., None], clock: Clock) -> None:
        self._change = change
        self._clock = clock
        self._phase = ""
        self._since = 0.0
        self._from_bytes = 0

    def __call__(self, progress: Progress) -> None:
        now = self._clock.monotonic()
        if progress.phase != self._phase:
            self._phase, self._since = progress.phase, now
            self._from_bytes = progress.done_bytes
        seconds = now - self._since
        came = progress.done_bytes - self._from_bytes
        speed = came / seconds if seconds >= RATE_SECONDS else None
        self._change(
            phase=progress.phase,
            done_bytes=progress.done_bytes,
            total_bytes=progress.total_bytes,
            bytes_per_second=speed or None,
        )
