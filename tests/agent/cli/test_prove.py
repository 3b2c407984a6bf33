from __future__ import annotations

import asyncio
import json

import pytest

from byoi_agent.cli import bench_target
from byoi_agent.cli import prove as module
from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.doctor.proof import Proof
from byoi_agent.hardware.devices import DeviceReading, ProbeReading

NOBODY = Instances((), "machine")
PROVEN = Proof(is_proven=True, account="byoi", engine="llamacpp 1", model="smol", seconds=0.1)
COMING = Proof(is_proven=False, account="byoi", missing="it loads", is_pending=True)


class Status:
    devices = ()


@pytest.fixture
def node(monkeypatch):
    """A running node; the list is what it shows, one after the other."""
    shows = [PROVEN]
    client = ControlClient(socket_path="/x")
    monkeypatch.setattr(module, "find", lambda *_, **__: Instances((Instance(client),), "machine"))
    monkeypatch.setattr(
        ControlClient, "prove", lambda _: shows.pop(0) if len(shows) > 1 else shows[0]
    )
    monkeypatch.setattr(ControlClient, "status", lambda _: Status())
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)

    async def reading(_patient):
        return ProbeReading(())

    monkeypatch.setattr(module, "_reading", reading)
    return shows


def test_the_running_node_shows_it_itself(byoi, node):
    code, out, _ = byoi("prove")
    assert (code, out.strip()) == (0, PROVEN.sentence)


def test_an_engine_on_its_way_gets_its_time(byoi, node):
    node[:] = [COMING, COMING, PROVEN]
    code, out, _ = byoi("prove", "--json")
    assert (code, json.loads(out)["is_proven"]) == (0, True)


def test_what_is_missing_is_told_and_is_no_success(byoi, node):
    node[:] = [COMING]
    code, out, _ = byoi("prove", "--wait", "0")
    assert (code, out.strip()) == (69, "byoi cannot serve yet: it loads")


def test_a_card_that_the_service_does_not_see_fails_loudly(byoi, node, monkeypatch):
    async def reading(_patient):
        return ProbeReading((DeviceReading(index=0, kind="nvidia", name="NVIDIA H100"),))

    monkeypatch.setattr(module, "_reading", reading)
    code, out, _ = byoi("prove")
    assert code == 69
    assert "sees 0 of 1 accelerators" in out


def test_a_node_that_has_just_gone_is_told_and_asked_for_here(byoi, node, monkeypatch, tmp_path):
    def gone(_):
        raise NodeUnreachable("nobody answers")

    monkeypatch.setattr(ControlClient, "prove", gone)
    flags = ("--data-dir", str(tmp_path / "d"), "--model", "/nonexistent")
    code, out, err = byoi("prove", *flags)
    assert code == 69
    assert "nobody answers; asking here instead" in err
    assert "no such folder" in out


def test_an_engine_that_is_not_there_gets_its_time_and_no_more(byoi, tmp_path):
    flags = ("--data-dir", str(tmp_path / "d"), "--engine", "http://127.0.0.1:9/v1")
    code, out, _ = byoi("prove", *flags, "--wait", "0.5")
    assert code == 69
    assert "the server http://127.0.0.1:9/v1 is not to be had: cannot connect" in out
    assert "byoi config set engine URL" in out


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ([{"id": "other"}], "answers, and offers other"),
        ([], "answers, and offers no model"),
        (None, "does not answer"),
    ],
)
def test_a_server_that_is_up_and_not_fit_says_what_it_has(
    byoi, tmp_path, monkeypatch, listed, told
):
    async def models(_):
        if listed is None:
            await asyncio.Event().wait()
        return listed

    monkeypatch.setattr(module, "_SERVER_SECONDS", 0.01 if listed is None else 60)

    monkeypatch.setattr(module.probes, "listed_models", models)
    flags = ("--data-dir", str(tmp_path / "d"), "--engine", "http://127.0.0.1:9/v1")
    code, out, _ = byoi("prove", *flags, "--wait", "0.05")
    assert (code, f"the server http://127.0.0.1:9/v1 {told}; start it" in out) == (69, True)


def test_a_demo_that_runs_proves_nothing_of_this_machine(byoi, node, monkeypatch, tmp_path):
    demo = Instances((Instance(ControlClient(socket_path="/x")),), "demo")
    monkeypatch.setattr(module, "find", lambda *_, **__: demo)
    asked = []
    monkeypatch.setattr(bench_target, "find", lambda *_, is_named: asked.append(is_named) or NOBODY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    code, out, _ = byoi("prove", "--engine", "http://127.0.0.1:9/v1", "--wait", "0.2")
    assert (code, asked) == (69, [True])
    assert PROVEN.sentence not in out
