"""What `byoi demo` was asked for, and what it tells programs once everything serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from byoi_agent.control.schema import EnginePlace
from byoi_agent.engine.kinds.choice import is_managed, is_vllm

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORT: Final = 8700
DEFAULT_PROMPT: Final = "What is the capital of France?"
NODES_LIMIT: Final = 16


@dataclass(frozen=True)
class Choices:
    """The options of `byoi demo`; see its `--help`.

    `port` is None where any port will do that is said aloud; 0 takes any without a word.
    """

    once: str | None = None
    engine: str = "llamacpp"
    model: str | None = None
    nodes: int = 1
    port: int | None = None
    data_dir: Path | None = None
    ready_file: Path | None = None

    @property
    def is_engine_ours(self) -> bool:
        """Whether it is an engine that we start, rather than one that runs already."""
        return is_managed(self.engine)

    @property
    def is_engine_shared(self) -> bool:
        """Whether one engine of ours serves all nodes: a vLLM for each would not fit."""
        return self.nodes > 1 and is_vllm(self.engine)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)


class ConsolePlace(_Told):
    """Where the console is, and how to administer it."""

    url: str
    pid: int
    admin_email: str
    admin_password: str
    admin_api_key: str


class DemoNode(_Told):
    """One node of the demo."""

    node_id: str
    pid: int
    control_url: str
    control_token: str
    engine: EnginePlace | None = None


class Ready(_Told):
    """The ready file: all that a program needs to use or to test the demo."""

    base_url: str
    api_key: str
    model: str
    console: ConsolePlace
    nodes: tuple[DemoNode, ...]
