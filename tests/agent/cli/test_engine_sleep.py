from __future__ import annotations

import itertools
import json

import click
import pytest

from byoi_agent.cli import engine_sleep, program
from byoi_agent.cli.main import EXIT_UNAVAILABLE, EXIT_USAGE
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schema import EngineStatus


class Node:
    """A node whose engine goes through these states, one each time that it is asked."""

    def __init__(self, *states, reason=None):
        self.orders = []
        self._states = itertools.chain(states, itertools.repeat(states[-1]))
        self._reason = reason

    def status(self):
        state = next(self._states)
        models = ("smol",) if state == "ready" else ()
        engine = EngineStatus(
            state=state, kind="vllm", version="1", models=models, reason=self._reason
        )
        other = EngineStatus(state="failed", kind="vllm", key="other", reason="too large")
        named = engine.model_copy(update={"key": "smol", "version": "2"})
        facts = {"engine": engine if state != "none" else None, "engines": (other, named)}
        return type("Report", (), facts)

    def sleep(self, *order):
        self.orders.append(("sleep", *(part for part in order if part is not None)))

    def wake(self, *order):
        self.orders.append(("wake", *(part for part in order if part is not None)))


@pytest.fixture
def run(byoi, monkeypatch):
    """One of the two commands against a node."""
    monkeypatch.setattr(engine_sleep, "_LOOK_SECONDS", 0.0)
    engines = click.Group("engines", commands=[engine_sleep.sleep, engine_sleep.wake])
    monkeypatch.setattr(program.LazyCommands, "get_command", lambda *_: engines)

    def call(node, *arguments):
        client = ControlClient(socket_path="/none")
        for name in ("status", "sleep", "wake"):
            answer = getattr(node, name)
            monkeypatch.setattr(ControlClient, name, lambda _, *given, to=answer: to(*given))
        found = Instances((Instance(client),), "data_dir")
        monkeypatch.setattr(engine_sleep, "find_running", lambda _: found)
        return byoi("engines", *arguments)

    return call


def test_sleep_waits_until_the_memory_is_free(run):
    node = Node("ready", "draining", "draining", "asleep")
    assert run(node, "sleep", "--within", "5") == (0, "vllm 1 is asleep\n", "")
    assert node.orders == [("sleep", 5.0)]


def test_wake_waits_until_it_serves(run):
    node = Node("asleep", "starting", "ready")
    assert run(node, "wake") == (0, "vllm 1 is ready, serves smol\n", "")
    assert node.orders == [("wake",)]


def test_programs_get_the_engines_as_they_are_then(run):
    code, out, _ = run(Node("asleep", "ready"), "wake", "--json")
    assert code == 0
    assert json.loads(out)["engines"][0]["state"] == "ready"
    assert json.loads(run(Node("ready"), "sleep", "--no-wait", "--json")[1]) == {"engines": []}


def test_of_several_the_one_that_was_named(run):
    node = Node("stopped", "asleep")
    assert run(node, "sleep", "smol") == (0, "vllm 2 is asleep\n", "")
    assert node.orders == [("sleep", 30.0, "smol")]
    code, _, told = run(node, "wake", "other")
    assert (code, "the engine is failed: too large" in told) == (EXIT_UNAVAILABLE, True)


@pytest.mark.parametrize(("command", "order"), [("sleep", ("sleep", 30.0)), ("wake", ("wake",))])
def test_nobody_must_wait(run, command, order):
    node = Node("none")
    assert run(node, command, "--no-wait") == (0, "", "")
    assert node.orders == [order]


def test_an_engine_that_only_its_owner_can_mend_is_told(run):
    code, _, told = run(Node("starting", "failed", reason="wrong hash"), "wake")
    assert code == EXIT_UNAVAILABLE
    assert "the engine is failed: wrong hash" in told
    assert "byoi status" in told


def test_one_that_takes_too_long_is_told_with_its_state(run, monkeypatch):
    monkeypatch.setattr(engine_sleep, "_SETTLE_SECONDS", 0.0)
    code, _, told = run(Node("draining"), "sleep", "--within", "0")
    assert code == EXIT_UNAVAILABLE
    assert "still draining" in told


def test_a_node_without_an_engine_is_told(run):
    code, _, told = run(Node("none"), "wake")
    assert code == 1
    assert "no engine" in told


def test_a_time_that_is_none_is_refused(run):
    assert run(Node("ready"), "sleep", "--within", "-1")[0] == EXIT_USAGE
