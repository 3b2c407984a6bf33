"""What was served, took and earned, as people read it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from byoi_agent.cli.money_words import joules_in_kwh, money
from byoi_agent.control.money import Balance, balance_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from byoi_agent.control.money import EnergyRow
    from byoi_agent.control.schema import UsageLine, UsageTable

_NONE: Final = "-"
_KINDS: Final = {
    "idle": "while nothing ran",
    "left": "between two looks",
    "assumed": "assumed: other_watts",
}
_FILE: Final = "into the file that byoi config show names, then: byoi reload"


def usage_view(table: UsageTable) -> RenderableType:
    """Tokens by day, model and outcome; energy and money where there are any."""
    parts: list[RenderableType] = [_tokens(table)]
    balance = table.balance
    if balance.earned or balance.measured_by or balance.joules is not None:
        parts += [Text(), _money(table), Text(), Text(_sum(balance))]
    parts += [Text(hint, style="dim") for hint in hints(balance)]
    return Group(*parts)


def hints(balance: Balance) -> Iterator[str]:
    """What is not known, and what to do about it."""
    if balance.requests:
        yield from _hints_of_requests(balance)
    has_cost = balance.energy_cost or balance.idle_cost or balance.left_cost
    if (balance.joules is not None or balance.measured_by) and not has_cost:
        yield f"No tariff was set: put [tariff] {_FILE}."


def _hints_of_requests(balance: Balance) -> Iterator[str]:
    if not balance.priced_requests:
        yield f"None of these requests had a price: put [prices] {_FILE}."
    elif balance.priced_requests < balance.requests:
        yield f"{balance.priced_requests:,} of {balance.requests:,} requests had a price."
    if balance.joules is None and not balance.measured_by:
        yield "No energy was measured: no device here told it (byoi devices shows what they tell)."
    elif balance.measured_requests < balance.requests:
        measured = f"{balance.measured_requests:,} of {balance.requests:,}"
        yield f"Energy was measured of {measured} requests; what was not measured has no cost here."


def _tokens(table: UsageTable) -> Table:
    shown = Table("day", box=None, show_footer=True)
    shown.add_column("model", overflow="fold")  # a name that is cut off names nothing
    shown.add_column("outcome")
    totals = table.totals
    for name, total in (
        ("requests", totals.requests),
        ("prompt", totals.prompt_tokens),
        ("cached", totals.cached_tokens),
        ("completion", totals.completion_tokens),
        ("total", totals.total_tokens),
    ):
        shown.add_column(name, f"{total:,}", justify="right")
    for row in table.rows:
        numbers = (
            row.requests,
            row.prompt_tokens,
            row.cached_tokens,
            row.completion_tokens,
            row.total_tokens,
        )
        shown.add_row(row.day, row.model, row.outcome, *(f"{number:,}" for number in numbers))
    return shown


def _money(table: UsageTable) -> Table:
    whole = table.balance
    shown = Table("day", box=None, show_footer=True)
    shown.add_column("model", overflow="fold")
    shown.add_column("measured", _measured(whole), justify="right")
    joules = [part for part in _joules(whole) if part is not None]
    kwh = joules_in_kwh(sum(joules)) if joules else _NONE
    cost = _costs(whole)
    for name, total in (
        ("kWh", kwh),
        ("earned", money(whole.earned, _NONE)),
        ("energy cost", money(cost, _NONE)),
        ("net", money(whole.net or {}, _NONE)),
    ):
        shown.add_column(name, total, justify="right")
    for row in _money_rows(table):
        shown.add_row(*row)
    return shown


def _money_rows(table: UsageTable) -> Iterator[tuple[str, ...]]:
    lines: defaultdict[tuple[str, str], list[UsageLine]] = defaultdict(list)
    for line in table.rows:
        lines[line.day, line.model].append(line)
    apart: defaultdict[tuple[str, str], list[EnergyRow]] = defaultdict(list)
    for row in table.energy:
        apart[row.day, row.kind].append(row)
    for day in sorted({key[0] for key in (*lines, *apart)}):
        for (_, model), group in sorted(item for item in lines.items() if item[0][0] == day):
            yield _model_row(day, model, group)
        for kind, words in _KINDS.items():
            if rows := apart.get((day, kind)):
                yield _apart_row(day, words, rows)


def _model_row(day: str, model: str, lines: Sequence[UsageLine]) -> tuple[str, ...]:
    balance = balance_of(lines, ())
    return (
        day,
        model,
        _measured(balance),
        _NONE if balance.joules is None else joules_in_kwh(balance.joules),
        money(balance.earned, _NONE),
        money(balance.energy_cost, _NONE),
        money(balance.net or {}, _NONE),
    )


def _apart_row(day: str, words: str, rows: Sequence[EnergyRow]) -> tuple[str, ...]:
    balance = balance_of((), rows)
    cost = _costs(balance)
    less = {currency: -amount for currency, amount in cost.items()}
    kwh = joules_in_kwh(sum(row.joules for row in rows))
    return (day, f"({words})", "", kwh, "", money(cost, _NONE), money(less, _NONE))


def _measured(balance: Balance) -> str:
    return f"{balance.measured_requests:,} of {balance.requests:,}"


def _joules(balance: Balance) -> tuple[float | None, ...]:
    return balance.joules, balance.left_joules, balance.idle_joules, balance.assumed_joules


def _costs(balance: Balance) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    parts = (balance.energy_cost, balance.left_cost, balance.idle_cost, balance.assumed_cost)
    for part in parts:
        for currency, amount in part.items():
            sums[currency] += amount
    return dict(sums)


def _sum(balance: Balance) -> str:
    parts = [
        f"{name} {money(amounts, _NONE)}"
        for name, amounts in (
            ("Earned", balance.earned),
            ("energy of requests", balance.energy_cost),
            ("between two looks", balance.left_cost),
            ("idle", balance.idle_cost),
            ("assumed", balance.assumed_cost),
        )
        if amounts
    ]
    parts.append(f"net {money(balance.net, _NONE)}" if balance.net else balance.net_reason or "")
    how = " and ".join(
        {"counter": "the devices' own counters", "power": "their power, integrated"}[name]
        for name in balance.measured_by
        if name in {"counter", "power"}
    )
    told = ", ".join(part for part in parts if part)
    sentences = (told[:1].upper() + told[1:], f"Measured by {how}" if how else "")
    return " ".join(f"{sentence}." for sentence in sentences if sentence)
