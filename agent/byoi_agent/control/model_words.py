"""What the control API says of models, as models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from byoi_agent.control.schema import ReloadReport

if TYPE_CHECKING:
    from byoi_agent.models.pulls import PullView


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelStatus(_Told):
    """One model that is here, or that the catalogue has.

    `name` is what commands and settings call it, `id` what clients ask for. It `is_served` where
    the settings name it, and `is_loaded` where its engine is ready. `used_at` is a day (UTC).
    `priority` says who stays loaded (higher), where the settings name several models.
    """

    name: str
    id: str
    kind: str
    quantisation: str | None = None
    size_bytes: int | None = None
    source: str
    commit: str | None = None
    path: str | None = None
    pulled_at: int | None = None
    used_at: str | None = None
    is_here: bool = True
    is_served: bool = False
    is_loaded: bool = False
    is_in_use: bool = False
    is_pinned: bool = False
    runs_own_code: bool = False
    state: str = ""
    engine_state: str | None = None
    priority: int | None = None


class Unfinished(_Told):
    """A model of which a part came; a pull of it goes on."""

    model: str
    bytes: int


class ModelList(_Told):
    """All models, those that were pulled first."""

    models: tuple[ModelStatus, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    pulls: tuple[PullStatus, ...] = ()


class PullStatus(_Told):
    """A pull; times are Unix seconds.

    `error` is why it failed, and `came` what is here once it is done, as NAME@COMMIT.
    """

    id: str
    model: str
    state: Literal["waiting", "pulling", "done", "failed", "cancelled"]
    began_at: float
    phase: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None
    bytes_per_second: float | None = None
    seconds_left: float | None = None
    ended_at: float | None = None
    error: str | None = None
    came: str | None = None
    removed: tuple[str, ...] = ()
    file: str | None = None


class PullList(_Told):
    """Pulls under way, and the last that ended."""

    pulls: tuple[PullStatus, ...] = ()


class PullOrder(_Order):
    """Which model: OWNER/NAME[:QUANTISATION][@REVISION]; `file` where there are several GGUFs.

    With `pin` it is never removed to make room.
    """

    model: str = Field(min_length=1, max_length=400)
    file: str | None = None
    pin: bool = False


class LoadOrder(_Order):
    """Requests under way get so long where memory is given back."""

    within_seconds: float = Field(default=30.0, ge=0, le=3600)


class ServeOrder(_Order):
    """How a model is served; what is None is the engine's own choice, or stays as it was."""

    engine: str | None = None
    priority: int | None = Field(default=None, ge=0, le=100)
    load: Literal["start", "demand"] | None = None
    context_tokens: int | None = Field(default=None, ge=128, le=10_000_000)
    slots: int | None = Field(default=None, ge=1, le=4096)


class ServeReport(_Told):
    """What became of it: `reloaded` says which settings hold now."""

    model: str
    is_served: bool
    engine: str | None = None
    reloaded: ReloadReport


class Removed(_Told):
    """What is gone from the disk; `unfinished` counts parts of pulls."""

    removed: tuple[str, ...] = ()
    freed_bytes: int = 0
    unfinished: int = 0


def pull_of(view: PullView) -> PullStatus:
    """A pull's view, with the time that is left where that can be reckoned."""
    left = None if view.total_bytes is None else view.total_bytes - view.done_bytes
    speed = view.bytes_per_second
    is_known = bool(speed) and left is not None and view.state == "pulling"
    return PullStatus(
        id=view.id,
        model=view.model,
        state=view.state,
        began_at=view.began_at,
        phase=view.phase,
        done_bytes=view.done_bytes,
        total_bytes=view.total_bytes,
        bytes_per_second=None if speed is None else round(speed),
        seconds_left=round(left / speed, 1) if is_known and left is not None and speed else None,
        ended_at=view.ended_at,
        error=view.error,
        came=view.came,
        removed=view.removed,
        file=view.file,
    )


ModelList.model_rebuild()
