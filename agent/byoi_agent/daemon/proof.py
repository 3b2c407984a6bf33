"""The running node's own proof: with its account's rights, its engine and its view of the cards."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from byoi_agent.doctor.patient import Patient
from byoi_agent.doctor.proof import Answered, Unanswered, prove
from byoi_agent.engine.kinds.probes import TOKEN_SECONDS
from byoi_agent.errors import EngineError
from byoi_agent.node.advertise import engine_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.config.settings import Settings
    from byoi_agent.control.answers import Answers
    from byoi_agent.doctor.proof import Proof
    from byoi_agent.engine.pool import EnginePool
    from byoi_agent.engine.view import EngineView

_COMING: Final = frozenset({"starting", "suspect", "draining", "backing_off"})


@dataclass(frozen=True)
class Proving:
    """`settings` says which hold now."""

    answers: Answers
    engine: EnginePool
    settings: Callable[[], Settings]

    async def proof(self) -> Proof:
        """One look at the cards and one token; the engine is asked beside its other requests."""
        patient = Patient(
            settings=self.settings(),
            paths=self.answers.paths,
            environment=os.environ,
            probe=self.answers.energy,
            clock=self.answers.clock,
        )
        return await prove(patient, self._ask)

    async def _ask(self) -> Answered | Unanswered:
        availability = self.answers.board.view.availability
        if not availability.is_serving:
            return Unanswered(f"the node does not serve now: {availability.reason}", is_held=True)
        ready = [view for view in self.engine.views if view.state == "ready" and view.models]
        return await self._token(ready[0]) if ready else _why_not(self.engine.view)

    async def _token(self, view: EngineView) -> Answered | Unanswered:
        model = next((model for model in view.models if model.is_loaded), view.models[0])
        seat = self.engine.engine_for(model.id)
        assert seat is not None, "a pool offers what it has"
        clock = self.answers.clock
        begun = clock.monotonic()
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                await seat.kind.canary(seat.client)
        except TimeoutError:
            mend = "see what it says of itself: byoi logs"
            return Unanswered(f"{model.id} gave no token within {TOKEN_SECONDS:.0f} s", mend)
        except EngineError as error:
            return Unanswered(f"{model.id} gave no token: {error}", is_pending=True)
        return Answered(model.id, engine_name(view.kind, view.version), clock.monotonic() - begun)


def _why_not(view: EngineView) -> Unanswered:
    told = view.reason or f"the engine is {view.state.replace('_', ' ')}"
    if view.state in _COMING:
        return Unanswered(told, is_pending=True)
    mend = "byoi engines wake" if view.state in {"asleep", "stopped"} else "byoi logs"
    return Unanswered(told, mend)
