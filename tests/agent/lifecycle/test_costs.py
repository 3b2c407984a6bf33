from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from byoi_agent.config.settings import Settings
from byoi_agent.config.tables import Prices, Tariff
from byoi_agent.engine.entries import Entry
from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.hardware.devices import DeviceProcess, DeviceReading
from byoi_agent.hardware.host import ancestors
from byoi_agent.lifecycle.costs import Costs, devices_of_engines
from byoi_agent.node.board import Board
from byoi_agent.node.view import NodeView
from byoi_agent.usage.prices import PriceList
from byoi_wire.ids import ModelId, NodeId
from byoi_wire.offers import Measured
from byoi_wire.offers import Prices as OfferedPrices

EUR = Prices(currency="EUR", input=1, output=2)
USD = Prices(currency="USD", input=3, output=4, cached=1)
OFFERED_EUR = OfferedPrices(currency="EUR", input=1, output=2)
OFFERED_USD = OfferedPrices(currency="USD", input=3, output=4, cached=1)


def engine(*names, pid=None):
    models = tuple(ServedModel(ModelId(name), name, ()) for name in names)
    return EngineView("ready", "vllm", models=models, pid=pid, key=names[0])


def card(index, *pids):
    processes = tuple(DeviceProcess(pid, "compute") for pid in pids)
    return DeviceReading(index=index, kind="nvidia", name="card", processes=processes)


@dataclass(frozen=True)
class Kind:
    uses_gpus: int = 1


def entry(key, *, engine="vllm", kind=Kind(), **facts):
    return Entry(key, kind, Settings(engine=engine), **facts)


class Pool:
    def __init__(self, *views, entries=(), given=None):
        self.views = views
        self.entries = entries
        self.given = given

    def gpus_of(self, entry):
        return entry.gpus or self.given


class Listener:
    """Books and sampler in one."""

    def __init__(self):
        self.took = None
        self.losing = set()
        self.known = None

    def take(self, tariff, prices, *, has_stop_loss):
        self.took = (tariff, prices, has_stop_loss)

    def refusal(self, model):
        return "below_marginal_cost" if model in self.losing else None

    def know_bench(self, joules_per_token):
        self.benched = joules_per_token

    def know(self, models, devices):
        self.known = (models, devices)


@pytest.fixture
def board():
    return Board(NodeView(node_id=NodeId("node"), agent_version="1"))


def test_prices_and_devices_of_a_models_own_settings_go_before_what_is_seen(board):
    listener = Listener()
    entries = (entry("smol"), entry("large", prices=USD, gpus=(2,)))
    pool = Pool(engine("large", "large-adapter", pid=5), engine("smol"), entries=entries)
    board.update(devices=(card(0, 5), card(1)))
    Costs(Settings(prices=EUR), pool, listener, listener, board)
    prices = PriceList(OFFERED_EUR, {"large": OFFERED_USD, "large-adapter": OFFERED_USD})
    assert listener.took == (None, prices, False)
    gpus = frozenset({2})
    assert listener.known == (
        ("large", "large-adapter", "smol"),
        {"large": gpus, "large-adapter": gpus},
    )
    assert board.view.prices == prices


@pytest.mark.parametrize(("kind", "own"), [("nvidia", frozenset()), ("cpu", {0}), ("apple", {0})])
def test_an_engine_that_we_start_on_the_processor_takes_nothing_of_a_card(board, kind, own):
    listener = Listener()
    views = engine("light"), engine("heavy"), engine("elsewhere")
    entries = (
        entry("light", engine="llamacpp", kind=Kind(0)),
        entry("heavy"),
        entry("elsewhere", engine="http://127.0.0.1:8000", kind=Kind(0)),
    )
    board.update(devices=(DeviceReading(0, kind, "device"),))
    Costs(Settings(), Pool(*views, entries=entries), listener, listener, board)
    assert listener.known == (("light", "heavy", "elsewhere"), {"light": own})


def test_an_engine_takes_of_the_cards_that_the_pool_gave_to_it(board):
    listener = Listener()
    pool = Pool(engine("smol"), entries=(entry("smol"),), given=(1, 3))
    Costs(Settings(), pool, listener, listener, board)
    assert listener.known == (("smol",), {"smol": frozenset({1, 3})})


def test_what_stop_loss_sends_back_is_known_of_the_node_until_it_pays_again(board):
    listener, pool = Listener(), Pool(engine("smol", "smol-adapter"), engine("large"))
    listener.losing = {"smol"}
    costs = Costs(Settings(), pool, listener, listener, board)
    assert board.view.at_a_loss == {"smol"}
    listener.losing = set()
    costs.look()
    assert board.view.at_a_loss == frozenset()


async def test_what_pays_by_the_hour_is_looked_at_each_minute_whatever_else_is_read(board):
    """The tariff's hour begins, or what was measured grows old, while nothing else changes."""
    listener, pool = Listener(), Pool(engine("smol"))
    costs = Costs(Settings(), pool, listener, listener, board)
    listener.losing, waited = {"smol"}, []

    class Clock:
        def monotonic(self):
            return 1000.0

        async def sleep_until(self, at):
            waited.append((at, board.view.at_a_loss))
            if len(waited) == 3:
                raise asyncio.CancelledError
            if len(waited) == 2:
                listener.losing = set()

    with pytest.raises(asyncio.CancelledError):
        await costs.run(Clock())
    assert waited == [(1060.0, frozenset()), (1060.0, {"smol"}), (1060.0, frozenset())]


def test_changed_settings_and_engines_are_told_at_once(board):
    listener, pool = Listener(), Pool()
    costs = Costs(Settings(), pool, listener, listener, board)
    assert listener.known == ((), {})
    tariff = Tariff(currency="EUR", price_per_kwh=0.3)
    costs.take(Settings(tariff=tariff, prices=EUR, stop_loss="on"))
    assert listener.took == (tariff, PriceList(OFFERED_EUR), True)
    pool.views = (engine("smol", pid=5),)
    board.update(devices=(card(0), card(1, 5)))
    costs.look()
    assert listener.known == (("smol",), {"smol": frozenset({1})})


def test_what_a_benchmark_found_counts_for_the_engine_that_it_was_found_with(board):
    facts = {"at_ms": 1, "engine": "x", "first_token_ms": 1.0, "decode_tokens_per_second": 1.0}
    measured = Measured(
        **facts, knee_concurrency=1, knee_tokens_per_second=1.0, joules_per_token=0.5
    )
    other = measured.model_copy(update={"joules_per_token": None})
    board.update(
        measured={("smol", "vllm"): measured, ("large", "vllm"): other, ("tiny", "y"): measured}
    )
    listener = Listener()
    Costs(Settings(), Pool(engine("smol", "large", "tiny")), listener, listener, board)
    assert listener.benched == {"smol": 0.5}


def family(pid):
    """The pool's engine 5 started 50, which started 500."""
    return frozenset({500: {500, 50, 5}, 7: {7}}.get(pid, {pid}))


def test_an_engine_is_where_the_driver_shows_one_of_its_children():
    devices = (card(0, 500), card(1, 500, 7), card(2), card(3, 7))
    views = (engine("large", pid=5), engine("smol", pid=7), engine("attached"))
    assert devices_of_engines(views, devices, family) == {
        "large": frozenset({0, 1}),
        "smol": frozenset({1, 3}),
    }


def test_an_engine_that_the_driver_does_not_show_may_be_anywhere():
    assert devices_of_engines((engine("smol", pid=5),), (card(0), card(1, 99)), family) == {}


def test_with_a_single_device_there_is_nothing_to_choose():
    assert devices_of_engines((engine("smol", pid=5),), (card(0, 5),), family) == {}


def test_ancestors_are_all_that_started_a_process():
    command = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as child:
        child.stdout.readline()
        assert ancestors(child.pid) >= {child.pid, os.getpid()}
        child.stdin.close()
    assert ancestors(child.pid) == {child.pid}
