"""Energy and money in the words of the control API; sums are exact to a billionth."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from byoi_agent.usage.earnings import net
from byoi_agent.usage.money import NANO, in_units
from byoi_agent.usage.units import MICRO

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from byoi_agent.usage.energy_lines import EnergyLine
    from byoi_agent.usage.money import Money
    from byoi_agent.usage.report import Worth

NOT_MEASURED: Final = "no net: no energy was measured"
NO_TARIFF: Final = "no net: no [tariff] was set when the energy was measured"
NO_PRICES: Final = "no net: no [prices] were set when the requests ran"


class Amounts(Protocol):
    """What rows of a table have in common here."""

    @property
    def requests(self) -> int: ...  # noqa: D102
    @property
    def measured_requests(self) -> int: ...  # noqa: D102
    @property
    def priced_requests(self) -> int: ...  # noqa: D102
    @property
    def joules(self) -> float | None: ...  # noqa: D102
    @property
    def earned(self) -> dict[str, float]: ...  # noqa: D102
    @property
    def energy_cost(self) -> dict[str, float]: ...  # noqa: D102


class EnergyRow(BaseModel):
    """Energy of one day (UTC) that is on no request's record; `cost` is by currency.

    `kind` is `idle`, `left` (of a model, between two looks) or `assumed` (by `other_watts`).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    day: str
    model: str
    kind: str
    measured_by: str
    joules: float
    cost: dict[str, float] = {}


class Balance(BaseModel):
    """All of it together; money is by currency, and what was not measured is null.

    `net` is what is earned without the cost of all energy, also the idle and the assumed; it is
    null where that cannot be told, and `net_reason` says why.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    requests: int = 0
    measured_requests: int = 0
    priced_requests: int = 0
    measured_by: tuple[str, ...] = ()
    joules: float | None = None
    left_joules: float | None = None
    idle_joules: float | None = None
    assumed_joules: float | None = None
    earned: dict[str, float] = {}
    energy_cost: dict[str, float] = {}
    left_cost: dict[str, float] = {}
    idle_cost: dict[str, float] = {}
    assumed_cost: dict[str, float] = {}
    net: dict[str, float] | None = None
    net_reason: str | None = None


def balance_of(rows: Iterable[Amounts], energy: Iterable[EnergyRow]) -> Balance:
    """The sums of a table."""
    lines, apart = tuple(rows), tuple(energy)
    earned = _sum(line.earned for line in lines)
    cost = _sum(line.energy_cost for line in lines)
    costs = {kind: _sum(row.cost for row in apart if row.kind == kind) for kind in _KINDS}
    joules = _joules(line.joules for line in lines)
    apart_joules = {kind: _joules(r.joules for r in apart if r.kind == kind) for kind in _KINDS}
    priced = sum(line.priced_requests for line in lines)
    is_measured = joules is not None or any(row.kind != "assumed" for row in apart)
    left, reason = _net(earned, _sum([cost, *costs.values()]), priced, is_measured=is_measured)
    return Balance(
        requests=sum(line.requests for line in lines),
        measured_requests=sum(line.measured_requests for line in lines),
        priced_requests=priced,
        measured_by=_methods(apart),
        joules=joules,
        left_joules=apart_joules["left"],
        idle_joules=apart_joules["idle"],
        assumed_joules=apart_joules["assumed"],
        earned=earned,
        energy_cost=cost,
        left_cost=costs["left"],
        idle_cost=costs["idle"],
        assumed_cost=costs["assumed"],
        net=left,
        net_reason=reason,
    )


_Kind = Literal["left", "idle", "assumed"]
_KINDS: Final[tuple[_Kind, ...]] = ("left", "idle", "assumed")


def amounts_of(worth: Worth) -> dict[str, object]:
    """The fields of a row that hold energy and money."""
    return {
        "measured_requests": worth.measured_requests,
        "priced_requests": worth.priced_requests,
        "joules": None if worth.microjoules is None else worth.microjoules / MICRO,
        "earned": _by_currency(worth.earned),
        "energy_cost": _by_currency(worth.energy_cost),
    }


def added(one: Amounts, other: Amounts) -> dict[str, object]:
    """The same of two rows together."""
    return {
        "measured_requests": one.measured_requests + other.measured_requests,
        "priced_requests": one.priced_requests + other.priced_requests,
        "joules": _joules([one.joules, other.joules]),
        "earned": _sum([one.earned, other.earned]),
        "energy_cost": _sum([one.energy_cost, other.energy_cost]),
    }


def energy_rows(lines: Iterable[EnergyLine | EnergyRow]) -> tuple[EnergyRow, ...]:
    """The lines in these words, those of the same day, model, kind and measurement as one."""
    sums: dict[tuple[str, str, str, str], EnergyRow] = {}
    for line in lines:
        row = line if isinstance(line, EnergyRow) else _row_of(line)
        key = (row.day, row.model, row.kind, row.measured_by)
        if (before := sums.get(key)) is not None:
            total = round((before.joules + row.joules) * MICRO) / MICRO
            cost = _sum([before.cost, row.cost])
            row = row.model_copy(update={"joules": total, "cost": cost})
        sums[key] = row
    return tuple(sums[key] for key in sorted(sums))


def _row_of(line: EnergyLine) -> EnergyRow:
    key = line.key
    return EnergyRow(
        day=key.day,
        model=key.model,
        kind=key.kind,
        measured_by=key.measured_by,
        joules=line.microjoules / MICRO,
        cost=in_units({key.currency: line.nano}) if key.currency else {},
    )


def _net(
    earned: Mapping[str, float], cost: Mapping[str, float], priced: int, *, is_measured: bool
) -> tuple[dict[str, float] | None, str | None]:
    if not earned and not cost:
        return None, None
    if not is_measured:
        return None, NOT_MEASURED
    if not cost:
        return None, NO_TARIFF
    if not priced:
        return None, NO_PRICES
    found = net(_nano(earned), _nano(cost))
    left = None if found.amount is None else in_units({found.amount.currency: found.amount.nano})
    return left, found.reason


def _methods(energy: Iterable[EnergyRow]) -> tuple[str, ...]:
    told = {name for row in energy if row.kind != "assumed" for name in row.measured_by.split("+")}
    return tuple(sorted(told - {""}))


def _joules(parts: Iterable[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return round(sum(known) * MICRO) / MICRO if known else None


def _by_currency(amounts: Iterable[Money]) -> dict[str, float]:
    return in_units({amount.currency: amount.nano for amount in amounts})


def _sum(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    sums: defaultdict[str, int] = defaultdict(int)
    for part in parts:
        for currency, nano in _nano(part).items():
            sums[currency] += nano
    return in_units(sums)


def _nano(amounts: Mapping[str, float]) -> dict[str, int]:
    return {currency: round(amount * NANO) for currency, amount in amounts.items()}
