"""The table of what speaks against serving, read off the code that decides."""
# ruff: noqa: INP001 (the documentation is no package)

from __future__ import annotations

from typing import TYPE_CHECKING

from byoi_agent.availability.rules import RULES, SETTLE_SECONDS, Inputs
from byoi_agent.config.availability import Idle

if TYPE_CHECKING:
    from byoi_agent.availability.rules import Rule

_MODES = ("dedicated", "idle", "scheduled")
_PROBE = Inputs(idle=Idle(return_minutes=7))


def table() -> str:
    """One row for each rule, in the order in which they are told."""
    rows = [
        f"| code | {' | '.join(_MODES)} | holds while | settles for |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for rule in RULES:
        cells = (rule.state if mode in rule.modes else "-" for mode in _MODES)
        rows.append(f"| `{rule.code}` | {' | '.join(cells)} | {rule.told} | {_settling(rule)} |")
    return "\n".join(rows)


def _settling(rule: Rule) -> str:
    match rule.settles(_PROBE):
        case 0:
            return "-"
        case seconds if seconds == _PROBE.idle.return_minutes * 60:
            return "`idle.return_minutes`"
        case seconds:
            assert seconds == SETTLE_SECONDS
            return f"{seconds:g} seconds"
