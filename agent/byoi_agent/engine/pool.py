"""All engines of this node: which of them has a model, and what each has to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.engine.pooled import PooledEngine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.engine.kinds.base import EngineKind
    from byoi_agent.engine.supervisor import EngineSupervisor
    from byoi_agent.engine.view import EngineView
    from byoi_wire.ids import ModelId

ONLY: Final = "engine"
"""The place of the one engine of a node that was told of no several models."""


class EnginePool:
    """Sole owner of the node's engines; `publish` hears of each change of the whole's view.

    `idle` waits until no request of that place is left.
    """

    def __init__(
        self,
        kind: EngineKind,
        *,
        supervise: Callable[[EngineKind, Callable[[EngineView], None]], EngineSupervisor],
        publish: Callable[[EngineView], None],
        idle: Callable[[str], Awaitable[None]],
    ) -> None:
        self._publish = publish
        self._only = PooledEngine(
            ONLY,
            kind,
            supervise=supervise,
            publish=lambda _view: publish(self.view),
            idle=lambda: idle(ONLY),
        )

    @property
    def view(self) -> EngineView:
        """All of them as one: ready as soon as anything can be asked, with all their models."""
        return self._only.view

    @property
    def views(self) -> tuple[EngineView, ...]:
        """Each of them, in the settings' order."""
        return (self._only.view,)

    @property
    def kind(self) -> EngineKind:
        """What kind the first of them is."""
        return self._only.kind

    def engine_for(self, model: ModelId) -> PooledEngine | None:  # noqa: ARG002 there is but one
        """Whose model it is, loaded or not; None where nobody of them offers it."""
        return self._only

    def demand(self, key: str, running: int, waiting: int) -> None:
        """So many requests are at that engine and wait for it now."""

    def sleep(self, within_seconds: float) -> None:
        """Have them give their memory back; requests under way get so long."""
        self._only.sleep(within_seconds)

    def wake(self) -> None:
        """Have them serve again."""
        self._only.wake()

    def change_to(self, kind: EngineKind) -> None:
        """Serve with this one as soon as the old one's requests have ended; the last call wins."""
        self._only.change_to(kind)

    async def run(self) -> None:
        """Until cancelled; nothing of any engine runs when this returns."""
        await self._only.run()
