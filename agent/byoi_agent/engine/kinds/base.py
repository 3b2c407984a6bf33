"""What the supervisor and the serving side ask of any kind of engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from byoi_agent.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoi_agent.config.tables import AdapterSetting
    from byoi_agent.engine.address import EngineAddress
    from byoi_agent.engine.client import EngineClient
    from byoi_agent.engine.life import Limits
    from byoi_agent.engine.process import Ended, LaunchSpec
    from byoi_agent.engine.view import EngineLoad, ServedModel
    from byoi_agent.models.wheels import Progress
    from byoi_wire.usage import Usage


class EngineKind(Protocol):
    """One engine and all that is peculiar to its kind; holds no state of its life.

    Attributes:
        name: the kind's word: `llamacpp`, `attached` …
        version: the engine's own, None where it is not known.
        slots: requests that it runs at once.
        own_seats: how many more the machine's owner has, where it takes some before others.
        address: where it listens, or will.
        extra_fields: request fields beyond OpenAI's that may reach it.
        counts_all_choices: whether its `usage` covers every choice of a request with `n` above 1
            (or with several prompts). Where not, `count` tells.
        faults: a sentence for each thing of it that does not work while the rest serves.
        can_sleep: whether its process may stay while the accelerator's memory is given back; where
            not, sleeping ends it and waking starts it.
        limits: the times that it needs.
        offers: the models that it will serve, known before it was ever started; none where that
            can only be asked of the engine itself.
        weight_bytes: what their files weigh; 0 where they are not ours to load.
        uses_gpus: how many GPUs it takes memory of; 0: the host's memory alone.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 see the class
    @property
    def version(self) -> str | None: ...  # noqa: D102
    @property
    def slots(self) -> int: ...  # noqa: D102
    @property
    def own_seats(self) -> int: ...  # noqa: D102
    @property
    def address(self) -> EngineAddress: ...  # noqa: D102
    @property
    def extra_fields(self) -> frozenset[str]: ...  # noqa: D102
    @property
    def counts_all_choices(self) -> bool: ...  # noqa: D102
    @property
    def can_sleep(self) -> bool: ...  # noqa: D102
    @property
    def faults(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def limits(self) -> Limits: ...  # noqa: D102
    @property
    def offers(self) -> tuple[ServedModel, ...]: ...  # noqa: D102
    @property
    def weight_bytes(self) -> int: ...  # noqa: D102
    @property
    def uses_gpus(self) -> int: ...  # noqa: D102

    async def prepare(self, report: Callable[[Progress], None]) -> LaunchSpec | None:
        """Fetch what it needs; None where it is not ours to start.

        Raises:
            ConfigError: the owner must mend something; trying again cannot help.
            AgentError: it did not work this time.
        """
        ...

    async def discover(self, client: EngineClient) -> tuple[ServedModel, ...]:
        """Whether it serves, and what: health, models, and a one-token answer.

        Raises:
            EngineError: not yet, or not any more.
        """
        ...

    async def look(self, client: EngineClient) -> tuple[ServedModel, ...]:
        """What an engine that was ready serves now; cheap.

        Raises:
            EngineError: it does not answer.
        """
        ...

    async def canary(self, client: EngineClient) -> None:
        """A one-token answer, as proof that it still computes. Bounded by the caller.

        Raises:
            EngineError: it does not.
        """
        ...

    async def load(self, client: EngineClient) -> EngineLoad | None:
        """What it says of its own work; None where it says nothing that we know."""
        ...

    def adapt(self, adapters: tuple[AdapterSetting, ...]) -> bool:
        """Serve these adapters over its model from the next `look` on, and no others.

        False where only another start can bring that about; then nothing has changed.
        """
        ...

    async def sleep(self, client: EngineClient) -> None:
        """Give the accelerator's memory back; asked only where `can_sleep`, with nothing under way.

        Raises:
            EngineError: it did not.
        """
        ...

    async def wake(self, client: EngineClient) -> None:
        """Take the memory again; whether it then answers is looked at as after a start.

        Raises:
            EngineError: it did not.
        """
        ...

    async def count(
        self, client: EngineClient, path: str, request: Mapping[str, Any], text: str
    ) -> Usage | None:
        """Tokens of a request and of the text that it produced, by the engine's own tokenizer.

        None when the engine has none or is gone; then the events that were seen must do.
        """
        ...

    def translate_error(
        self, status: int, body: bytes, path: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """The engine's error as a status and OpenAI's error object, in our words."""
        ...

    def explain(self, ended: Ended) -> str:
        """Why it ended, in the owner's words."""
        ...


class WithoutAdapters:
    """A kind whose engines take no adapters."""

    faults: tuple[str, ...] = ()

    def adapt(self, adapters: tuple[AdapterSetting, ...]) -> bool:
        """Only to none."""
        return not adapters


class Sleepless:
    """A kind whose engines cannot give memory back while they run."""

    can_sleep = False

    async def sleep(self, client: EngineClient) -> None:  # noqa: ARG002
        """Never asked.

        Raises:
            EngineError: always.
        """
        raise EngineError("this engine cannot sleep")

    async def wake(self, client: EngineClient) -> None:
        """Never asked.

        Raises:
            EngineError: always.
        """
        await self.sleep(client)
