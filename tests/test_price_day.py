"""What serving by price saves: the documentation's table is what the replay gives."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

ROOT = Path(__file__).resolve().parent.parent
DAY = (ROOT / "benchmarks" / "traces" / "price-day.json").read_text()
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def price_day():
    spec = importlib.util.spec_from_file_location("price_day", ROOT / "benchmarks" / "price_day.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["price_day"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["price_day"]


def rows():
    text = (ROOT / "docs" / "schedule.md").read_text()
    lines = text.split("<!-- replay -->")[1].strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_documented_numbers_are_what_the_replay_gives(price_day, row):
    at_most, hours, done, kwh, cost = row
    always, by_price = price_day.replay(DAY, float(at_most), BERLIN)
    told = [
        f"{', '.join(price_day.hours(DAY, by_price.open_minutes, BERLIN))}",
        f"{by_price.done:.0%}",
        f"{always.kwh:.2f} → {by_price.kwh:.2f}, {1 - by_price.kwh / always.kwh:.0%} less",
        f"{always.cost:.2f} → {by_price.cost:.2f}, {1 - by_price.cost / always.cost:.0%} less",
    ]
    assert told == [hours, done, kwh, cost]


def test_open_minutes_are_those_whose_price_is_within_the_limit(price_day):
    minutes, prices = price_day.open_minutes(DAY, 0.08, BERLIN)
    assert minutes == {minute for minute, price in enumerate(prices) if price <= 0.08}
    assert len(prices) == 24 * 60


def test_without_any_work_what_is_saved_is_the_waiting(price_day):
    node = price_day.Node(busy_share=0.0)
    always, by_price = price_day.replay(DAY, -1.0, BERLIN, node)
    assert always.kwh == pytest.approx(24 * node.waiting_watts / 1000)
    assert by_price.kwh == pytest.approx(24 * node.freed_watts / 1000)
    assert (always.done, by_price.done) == (1.0, 1.0)


def test_it_runs_as_a_program(price_day, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["price_day.py", "--json"])
    price_day.main()
    assert json.loads(capsys.readouterr().out)["open_hours"] == 12
    monkeypatch.setattr(sys, "argv", ["price_day.py", "--at-most", "-1"])
    price_day.main()
    assert "open 0 h: never" in capsys.readouterr().out
