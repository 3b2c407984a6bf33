"""A node's status as people read it: a grid of lines, then what needs its owner."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from byoi_agent.cli.money_words import money
from byoi_agent.sizes import in_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from byoi_agent.control.money import Balance
    from byoi_agent.control.schema import (
        DeviceStatus,
        EngineStatus,
        EstimateStatus,
        LinkStatus,
        OwnApiStatus,
        ReclaimStatus,
        StatusReport,
    )

_GIB: Final = 1024**3
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def status_view(report: StatusReport, now: float | None = None) -> RenderableType:
    """One node; `now` is Unix seconds, for "since" and "in"."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in lines_of(report, time.time() if now is None else now):
        grid.add_row(name, Text(printable(text)))
    return Group(grid, *_warnings(report))


def lines_of(report: StatusReport, now: float) -> Iterator[tuple[str, str]]:
    """Each line's name and text."""
    up = duration(report.uptime_seconds)
    yield "node", f"{report.node_id}  {_state(report)}  (pid {report.pid}, up {up})"
    yield "console", f"{report.link.console_url}  {_link(report.link, now)}"
    if (availability := report.availability) is not None:
        yield "mode", f"{availability.mode}  {availability.reason}"
        yield from _reclaims(availability.reclaims)
    yield from _engines(report, now)
    rate = ""
    if report.tokens_per_second is not None:
        rate = f", {report.tokens_per_second:g} tokens/s in the last minute"
    yield (
        "requests",
        f"{report.running} running, {report.waiting} waiting, {report.slots} slots{rate}",
    )
    if (today := report.today) is not None:
        yield (
            "today",
            f"{_requests(today.requests)}, {today.prompt_tokens:,} tokens in, "
            f"{today.completion_tokens:,} out",
        )
    if (own := report.own) is not None and own.url is not None:
        yield "own use", _own(own)
    if (balance := report.today_balance) is not None:
        yield "money", _money(balance)
    yield "usage", f"{report.unacknowledged_records} records not yet booked"
    for device in report.devices:
        yield f"device {device.index}", _device(device)
    yield "version", _version(report)
    yield "key", report.key_place or f"in the {report.key_store} store"
    if report.log is not None:
        yield "log", report.log.file or _journal(report.log.unit)


def _engines(report: StatusReport, now: float) -> Iterator[tuple[str, str]]:
    """What serves, each model's engine where there are several, and what is known of their size."""
    if (engine := report.engine) is not None:
        name = f"{engine.kind} {engine.version or ''}".strip()
        restarts = f"  {engine.restarts} restarts" if engine.restarts else ""
        yield "engine", f"{name}  {_with(engine.state, engine.reason)}{restarts}"
        yield "models", ", ".join(engine.models) or "none"
    for one in report.engines if len(report.engines) > 1 else ():
        yield one.key or "", _one_of_several(one, now)
    if (estimates := report.estimates) is not None:
        yield "estimates", _estimates(estimates)


def _estimates(estimates: EstimateStatus) -> str:
    """How far off those of the engines' memory are, so that an owner knows what to make of them."""
    loads = "1 load" if estimates.loads == 1 else f"{estimates.loads:,} loads"
    return (
        f"of memory {estimates.error:.1%} off, corrected by earlier loads "
        f"{estimates.corrected_error:.1%} (mean of {loads})"
    )


def _version(report: StatusReport) -> str:
    """Which runs, whether a newer one is there, and what came of the last update."""
    told = [report.agent_version]
    if (update := report.update) is not None:
        if update.underway is not None:
            told.append(f"an update to {update.underway} is under way")
        elif update.available is not None:
            told.append(
                f"{update.available} is available, {update.held or 'install it: byoi update'}"
            )
        if update.trouble is not None:
            told.append(f"newer ones unknown: {update.trouble}")
        if (last := update.last) is not None and last.outcome != "updated":
            told.append(f"{last.new} {last.outcome}: {last.reason}")
    return "  ".join(told)


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def _own(own: OwnApiStatus) -> str:
    """Where the owner's programs ask, and what they used since the node's start."""
    told = [f"{own.url}{' with a key' if own.needs_key else ''}"]
    if own.running or own.waiting:
        told.append(f"{own.running} running, {own.waiting} waiting")
    if own.requests:
        told.append(f"{_requests(own.requests)}, {own.prompt_tokens:,} tokens in")
        told.append(f"{own.completion_tokens:,} out")
    return ", ".join(told)


def _money(balance: Balance) -> str:
    """Today's, in UTC as all usage."""
    costs = (balance.energy_cost, balance.left_cost, balance.idle_cost, balance.assumed_cost)
    kinds = ("energy", "between looks", "idle", "assumed")
    told = [f"earned {money(balance.earned)}"]
    told += [f"{kind} {money(cost)}" for kind, cost in zip(kinds, costs, strict=True) if cost]
    told.append(f"net {money(balance.net)}" if balance.net else balance.net_reason or "no net yet")
    return ", ".join(told)


def _one_of_several(engine: EngineStatus, now: float) -> str:
    """One model that shares the node's memory with others."""
    since = engine.since
    state = (
        engine.state if since is None else f"{engine.state} for {duration(max(0.0, now - since))}"
    )
    told = [_with(state, engine.reason), f"priority {engine.priority}"]
    if engine.memory_bytes is not None:
        told.append(in_memory(engine.memory_bytes))
    if engine.load_seconds is not None:
        told.append(f"loads in {engine.load_seconds:g} s")
    used = engine.used_at
    told.append("not used yet" if used is None else f"used {duration(max(0.0, now - used))} ago")
    return ", ".join(told)


def _state(report: StatusReport) -> str:
    if report.is_draining:
        return "draining"
    if report.availability is not None and report.availability.is_paused:
        return "paused"
    return "serving" if report.is_serving else "not serving"


def _reclaims(reclaims: ReclaimStatus) -> Iterator[tuple[str, str]]:
    """How long the machine took to be its owner's again."""
    if not reclaims.count:
        return
    figures = (("half", reclaims.p50_seconds), ("99 %", reclaims.p99_seconds))
    told = [f"{name} within {seconds:.2g} s" for name, seconds in figures if seconds is not None]
    if reclaims.last_seconds is not None:
        why = [reclaims.last_cause] if reclaims.last_cause else []
        why += ["as the attached server says"] if reclaims.last_is_told else []
        cause = f" ({', '.join(why)})" if why else ""
        told.append(f"the last one {reclaims.last_seconds:.2g} s{cause}")
    yield "reclaims", ", ".join([f"{reclaims.count:,}", *told])


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count:,} requests"


def _link(link: LinkStatus, now: float) -> str:
    since = "" if link.since is None else f" for {duration(max(0.0, now - link.since))}"
    text = _with(f"{link.state}{since}", link.reason)
    if link.next_try_at is not None:
        text += f"; next try in {duration(max(0.0, link.next_try_at - now))}"
    if link.last_error and not link.reason:
        text += f"; before that: {link.last_error}"
    return text


def memory_of(used: int | None, total: int | None) -> str:
    """Bytes in use of all, in GiB; a figure that is not known is a dash, never zero."""
    if total is None:
        return "-" if used is None else f"{used / _GIB:.1f} GiB"
    return f"{'-' if used is None else f'{used / _GIB:.1f}'} of {total / _GIB:.1f} GiB"


def _device(device: DeviceStatus) -> str:
    figures = (
        (device.utilisation_percent, "{} % busy"),
        (device.power_watts, "{:.0f} W"),
        (device.temperature_celsius, "{:.0f} °C"),
    )
    memory = memory_of(device.memory_used_bytes, device.memory_total_bytes)
    told = [form.format(value) for value, form in figures if value is not None]
    return ", ".join([f"{device.name}  {memory}", *told])


def _warnings(report: StatusReport) -> Iterator[RenderableType]:
    for warning in report.warnings:
        yield Text.assemble(("warning", "yellow"), f"  {warning.text}\n         {warning.mend}")


def _journal(unit: str | None) -> str:
    return f"in the journal of {unit}" if unit else "on standard error alone"


def printable(text: str) -> str:
    """Others' words (a console's, a process' name), which shall not steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _with(state: str, reason: str | None) -> str:
    return f"{state} ({reason})" if reason else state
