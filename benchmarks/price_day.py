"""Replays a day of electricity prices: when a node in the mode scheduled serves, and what it saves.

    python benchmarks/price_day.py
    python benchmarks/price_day.py --prices tomorrow.json --at-most 0.06 --zone Europe/Vienna

The node's own code decides, minute by minute: the forecast's form, its verdict, the calendar and
the policy. The same tokens are served as by a node that is always on: spread over the whole day
there, within the open hours here. What a machine draws beside its GPU is the same in both, and is
left out. With more work than fits into the open hours, what is left over is told.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from byoi_agent.availability.calendar import look
from byoi_agent.availability.forecast import judge
from byoi_agent.availability.forecast_forms import read
from byoi_agent.availability.policy import Decision, decide
from byoi_agent.availability.rules import Inputs, Now
from byoi_agent.config.availability import Feed

MINUTE = 60.0
MADE_UP = Path(__file__).parent / "traces" / "price-day.json"


@dataclass(frozen=True)
class Node:
    """Watts of the GPUs: with requests, with a loaded model that waits, with the memory freed.

    `busy_share` of a day's time is what the day's tokens take; `fees` come on top of each kWh.
    """

    busy_watts: float = 300.0
    waiting_watts: float = 60.0
    freed_watts: float = 20.0
    busy_share: float = 0.25
    fees: float = 0.18


@dataclass(frozen=True)
class Day:
    """One way to serve: the minutes that were open, kWh, money, and the part of the tokens done."""

    open_minutes: frozenset[int]
    kwh: float
    cost: float
    done: float


def open_minutes(text, at_most, zone):
    """The minutes of the day in which the node's own code serves, and the prices it went by."""
    forecast = read(text)
    limit = Feed(source="/prices", at_most=at_most, unknown="wait")
    begin, end = forecast.slots[0].since, forecast.until

    def local(at):
        return datetime.fromtimestamp(at, zone)

    served, prices, decision = set(), [], Decision()
    for minute in range(round((end - begin) / MINUTE)):
        at = begin + minute * MINUTE
        verdict = judge("price", limit, forecast, at, local)
        calendar = look((), (), (verdict,), at, local)
        inputs = Inputs(mode="scheduled", calendar=calendar)
        decision = decide(inputs, decision, Now(elapsed=at, wall=at))
        prices.append(forecast.value_at(at))
        if decision.state == "serve":
            served.add(minute)
    return frozenset(served), prices


def served(minutes, prices, node):
    """What a day costs whose tokens are spread evenly over these minutes."""
    share = min(1.0, node.busy_share * len(prices) / len(minutes)) if minutes else 0.0
    kwh = cost = 0.0
    for minute, price in enumerate(prices):
        watts = node.freed_watts
        if minute in minutes:
            watts = share * node.busy_watts + (1 - share) * node.waiting_watts
        energy = watts / 1000 / 60
        kwh += energy
        cost += energy * ((price or 0.0) + node.fees)
    done = share * len(minutes) / (node.busy_share * len(prices)) if node.busy_share else 1.0
    return Day(minutes, kwh, cost, done)


def replay(text, at_most, zone=UTC, node=Node()):
    """Always on, and by price."""
    minutes, prices = open_minutes(text, at_most, zone)
    return served(frozenset(range(len(prices))), prices, node), served(minutes, prices, node)


def hours(text, minutes, zone):
    """The open stretches, by the owner's clock."""
    begin = read(text).slots[0].since
    edges = (
        sorted(m for m in minutes if m - 1 not in minutes),
        sorted(m + 1 for m in minutes if m + 1 not in minutes),
    )
    return [
        "-".join(f"{datetime.fromtimestamp(begin + m * MINUTE, zone):%H:%M}" for m in (first, last))
        for first, last in zip(*edges, strict=True)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prices", type=Path, default=MADE_UP)
    parser.add_argument("--at-most", type=float, default=0.08)
    parser.add_argument("--zone", type=ZoneInfo, default=ZoneInfo("Europe/Berlin"))
    for name, default in vars(Node()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=default)
    parser.add_argument("--json", action="store_true")
    given = vars(parser.parse_args())
    text, as_json = given.pop("prices").read_text(), given.pop("json")
    at_most, zone = given.pop("at_most"), given.pop("zone")
    always, by_price = replay(text, at_most, zone, Node(**given))
    told = {
        "open": hours(text, by_price.open_minutes, zone),
        "open_hours": len(by_price.open_minutes) / 60,
        "tokens_done": by_price.done,
        "kwh": [always.kwh, by_price.kwh],
        "cost": [always.cost, by_price.cost],
    }
    if as_json:
        print(json.dumps(told))
        return
    print(f"open {told['open_hours']:g} h: {', '.join(told['open']) or 'never'}")
    print(f"tokens served: {by_price.done:.0%} of those of a node that is always on")
    print(f"              {'always on':>10}{'by price':>10}{'saved':>8}")
    for name in ("kwh", "cost"):
        before, after = told[name]
        print(f"{name:14}{before:10.3f}{after:10.3f}{1 - after / before:8.0%}")


if __name__ == "__main__":
    main()
