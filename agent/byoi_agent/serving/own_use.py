"""What the owner used of the node: counted here, and nowhere else; no console hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_wire.ids import ModelId, RecordId
    from byoi_wire.usage import UsageRecord


class OwnUseView(NamedTuple):
    """Since the node's start. `joules` of those requests whose energy was measured."""

    requests: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    joules: float = 0.0


class OwnUse:
    """Sole owner of the counts; stands where others have the outbox (see `RecordKeeper`).

    `publish` hears of each change.
    """

    refusal: str | None = None

    def __init__(self, publish: Callable[[OwnUseView], None] = lambda _view: None) -> None:
        self._publish = publish
        self._view = OwnUseView()

    @property
    def view(self) -> OwnUseView:
        """The sums now."""
        return self._view

    async def commit(self, record: UsageRecord) -> None:
        """Count it; nothing is written and nothing is sent."""
        before, usage = self._view, record.usage
        self._view = OwnUseView(
            requests=before.requests + 1,
            failed=before.failed + (record.outcome == "failed"),
            prompt_tokens=before.prompt_tokens + usage.prompt_tokens,
            completion_tokens=before.completion_tokens + usage.completion_tokens,
            joules=before.joules + (record.joules or 0.0),
        )
        self._publish(self._view)


class Sampler(Protocol):
    """What measures; `byoi_agent.usage.sampling.EnergySampler` does."""

    def begin(self, record_id: RecordId, model: ModelId, *, is_own: bool = False) -> None: ...  # noqa: D102
    def stop(self, record_id: RecordId) -> None: ...  # noqa: D102
    def forget(self, record_id: RecordId) -> float | None: ...  # noqa: D102


class OwnEnergy:
    """The owner's share, measured beside the guests' so that none of it is charged to them."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def refusal(self, model: ModelId) -> str | None:  # noqa: ARG002
        """Never: what it costs is the owner's own."""
        return None

    def begin(self, record_id: RecordId, model: ModelId) -> None:
        """A request goes to the engine."""
        self._sampler.begin(record_id, model, is_own=True)

    def stop(self, record_id: RecordId) -> None:
        """The engine has nothing more to do for it."""
        self._sampler.stop(record_id)

    async def end(self, record_id: RecordId) -> float | None:
        """What it took; without waiting for a look, since nobody is billed for it."""
        return self._sampler.forget(record_id)

    def forget(self, record_id: RecordId) -> float | None:
        """The same."""
        return self._sampler.forget(record_id)
