"""What the control API says, as models; the same ones read the answers in the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from byoi_agent.control.money import (
    Balance,
    EnergyRow,
    added,
    amounts_of,
    balance_of,
    energy_rows,
)
from byoi_agent.update.told import Entry
from byoi_wire.ids import ModelId
from byoi_wire.offers import Host, Measured

if TYPE_CHECKING:
    from collections.abc import Iterable

    from byoi_agent.usage.energy_lines import EnergyLine
    from byoi_agent.usage.report import UsageReport, UsageRow


_LONGEST_SECONDS: Final = 366 * 86_400


class _Answer(BaseModel):
    # A newer node may say more than this client knows.
    model_config = ConfigDict(frozen=True, extra="ignore")


class EngineStatus(_Answer):
    """An engine, or all of a node's as one, in the owner's words.

    `key` names it among several: it is its model. What it takes (`memory_bytes`) and how long its
    loading takes are known of one that shares memory with others. `used_at` and `since`, when it
    came into its state, are Unix seconds.
    """

    state: str
    kind: str
    version: str | None = None
    pid: int | None = None
    url: str | None = None
    models: tuple[str, ...] = ()
    slots: int = 0
    restarts: int = 0
    reason: str | None = None
    key: str | None = None
    priority: int | None = None
    memory_bytes: int | None = None
    load_seconds: float | None = None
    used_at: float | None = None
    since: float | None = None


class EstimateStatus(_Answer):
    """How far estimates of engines' memory were off, as mean shares of what was then measured.

    `error` is that of the arithmetic alone, `corrected_error` that of what was said before each
    load, corrected by what the loads before it took.
    """

    loads: int
    error: float
    corrected_error: float


class EngineOrder(BaseModel):
    """What comes with the order to sleep or wake: what requests under way get, and which model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    within_seconds: float = Field(default=30.0, ge=0, le=3600)
    model: str | None = None


class MeasuredOrder(BaseModel):
    """What a benchmark found of a model: to be kept and advertised."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelId
    measured: Measured


class LinkStatus(_Answer):
    """The link to the console; `since` and `next_try_at` are Unix seconds."""

    state: str
    console_url: str
    reason: str | None = None
    epoch: int | None = None
    connects: int = 0
    resumes: int = 0
    since: float | None = None
    last_error: str | None = None
    next_try_at: float | None = None


class DeviceStatus(_Answer):
    """One accelerator; what it does not report is None."""

    index: int
    kind: str
    name: str
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    utilisation_percent: int | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None


class LogStatus(_Answer):
    """Where the log's lines go besides standard error: a file, or a unit's journal."""

    file: str | None = None
    unit: str | None = None
    is_users: bool = False


class WarningStatus(_Answer):
    """Something that needs the owner, and what to do about it."""

    name: str
    text: str
    mend: str


class UsageSum(_Answer):
    """Sums over all lines."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    total_tokens: int = 0


class ReclaimStatus(_Answer):
    """How long the machine took to be its owner's again; seconds, over the reclaims kept.

    `last_is_told` where an attached server was among them: only its own word is known of it.
    """

    count: int = 0
    p50_seconds: float | None = None
    p99_seconds: float | None = None
    last_seconds: float | None = None
    last_cause: str | None = None
    last_is_told: bool = False


class AvailabilityStatus(_Answer):
    """Whether the node serves, and why.

    `mode` is the owner's and `mode_source` who says so; `state` is what holds: `serve`, `drain`
    (takes nothing new, lets end what runs) or `yield` (all is handed back, the memory is free).
    `code` names the reason, `reason` tells it to the owner. All moments are Unix seconds.
    """

    mode: str
    mode_source: str = "default"
    state: str
    code: str
    reason: str
    is_paused: bool = False
    paused_until: float | None = None
    paused_by: str | None = None
    since: float | None = None
    until: float | None = None
    pinned_to: str | None = None
    reclaims: ReclaimStatus = ReclaimStatus()


class PauseOrder(BaseModel):
    """How long the owner wants the machine; without `seconds` until resumed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seconds: float | None = Field(default=None, gt=0, le=_LONGEST_SECONDS)
    finish: bool = False


class UpdateOrder(BaseModel):
    """Which version is about to be installed, and how long it waits for what runs; null: none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: str | None = Field(max_length=40)
    seconds: float = Field(default=600.0, gt=0, le=86_400)


class ModeOrder(BaseModel):
    """Which mode; null takes the switch back, so that settings and enrolment decide."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["dedicated", "idle", "scheduled"] | None


class OwnApiStatus(_Answer):
    """The owner's own /v1, for the base URL of programs; None where it is not open.

    Requests in flight and what ended since the node's start; none of it is on anybody's bill.
    """

    url: str | None = None
    needs_key: bool = False
    running: int = 0
    waiting: int = 0
    requests: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    joules: float = 0.0


class UpdateStatus(_Answer):
    """What the updater of this installation knows; times in Unix seconds.

    `held` is why an available version is not installed by itself, `trouble` why the index could
    not be asked, `underway` a version that is being installed, `last` what came of the last one.
    """

    ring: str = "stable"
    checked_at: float | None = None
    available: str | None = None
    held: str | None = None
    trouble: str | None = None
    underway: str | None = None
    last: Entry | None = None


class UpdateDesk(_Answer):
    """Which version runs, what is known of newer ones (None: nobody ever looked), what can be done.

    `instead` is what to type where not all of it can be asked of this node.
    """

    version: str
    known: UpdateStatus | None = None
    can_look: bool
    can_install: bool
    instead: str | None = None


class StatusReport(_Answer):
    """What `byoi status` shows.

    `log` says where the log's lines go, `key_place` where the private key lies; of today's usage
    (UTC) what has ended is counted, tokens a second are those of the last minute's answers.
    """

    node_id: str
    agent_version: str
    pid: int
    uptime_seconds: float
    key_store: str
    is_serving: bool
    is_draining: bool
    running: int
    waiting: int
    slots: int
    queue: int
    unacknowledged_records: int
    link: LinkStatus
    engine: EngineStatus | None = None
    engines: tuple[EngineStatus, ...] = ()
    host: Host | None = None
    devices: tuple[DeviceStatus, ...] = ()
    warnings: tuple[WarningStatus, ...] = ()
    key_place: str | None = None
    tokens_per_second: float | None = None
    today: UsageSum | None = None
    today_balance: Balance | None = None
    availability: AvailabilityStatus | None = None
    log: LogStatus | None = None
    own: OwnApiStatus | None = None
    update: UpdateStatus | None = None
    estimates: EstimateStatus | None = None


class ReloadReport(_Answer):
    """Names of settings that changed with a reload, and of those that need a restart."""

    now: tuple[str, ...] = ()
    at_restart: tuple[str, ...] = ()


class KeyChange(_Answer):
    """The node's new key; not yet `is_in_use` where the link has not come up with it."""

    key_id: str
    fingerprint: str
    key_store: str
    is_in_use: bool


class VersionReport(_Answer):
    """The agent's version, and that of the protocol it speaks with its console."""

    agent_version: str
    protocol: str
    python: str


class DashboardLink(_Answer):
    """What opens the dashboard in a browser: once, and so many seconds long."""

    url: str
    valid_seconds: float


class SignedOut(_Answer):
    """How many browsers were let in, and are no more."""

    browsers: int


class UsageLine(_Answer):
    """All requests of one day (UTC), model and outcome.

    `joules` is None where the energy of none of them was measured; money is by currency.
    """

    day: str
    model: str
    outcome: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    total_tokens: int
    measured_requests: int = 0
    priced_requests: int = 0
    joules: float | None = None
    earned: dict[str, float] = {}
    energy_cost: dict[str, float] = {}


class UsageTable(_Answer):
    """What `byoi usage` shows; `energy` is what is on no request's record."""

    rows: tuple[UsageLine, ...] = ()
    totals: UsageSum = UsageSum()
    energy: tuple[EnergyRow, ...] = ()
    balance: Balance = Balance()


class EnginePlace(_Answer):
    """Which engine a ready node uses; `pid` is None where it is somebody else's."""

    kind: str
    pid: int | None = None
    url: str | None = None


class NodePlace(_Answer):
    """Where a running node can be reached: its `control.json` and its ready file."""

    node_id: str
    pid: int
    control_url: str
    control_token: str
    control_socket: str | None = None
    state_dir: str | None = None
    engine: EnginePlace | None = None
    local_url: str | None = None


def usage_table(reports: Iterable[UsageReport | UsageTable]) -> UsageTable:
    """One table of several reports: lines of the same day, model and outcome are added up."""
    sums: dict[tuple[str, str, str], UsageLine] = {}
    apart: list[EnergyLine | EnergyRow] = []
    for report in reports:
        apart += report.energy
        for row in report.rows:
            line = row if isinstance(row, UsageLine) else _line_of(row)
            key = (line.day, line.model, line.outcome)
            sums[key] = _added(sums[key], line) if key in sums else line
    rows = tuple(sums[key] for key in sorted(sums))
    energy = energy_rows(apart)
    fields = UsageSum.model_fields
    return UsageTable(
        rows=rows,
        totals=UsageSum(**{name: sum(getattr(row, name) for row in rows) for name in fields}),
        energy=energy,
        balance=balance_of(rows, energy),
    )


def _line_of(row: UsageRow) -> UsageLine:
    counts = {name: getattr(row, name) for name in UsageSum.model_fields}
    facts = {**counts, **amounts_of(row.worth)}
    return UsageLine.model_validate(
        {"day": row.day, "model": row.model, "outcome": row.outcome, **facts}
    )


def _added(one: UsageLine, other: UsageLine) -> UsageLine:
    counts = {name: getattr(one, name) + getattr(other, name) for name in UsageSum.model_fields}
    return one.model_copy(update={**counts, **added(one, other)})
