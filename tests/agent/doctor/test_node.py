from __future__ import annotations

import socket
from pathlib import Path

from byoi_agent.config.installation import Installation, ServicePlaces
from byoi_agent.config.settings import Settings
from byoi_agent.doctor import node
from byoi_agent.doctor.patient import Complaint, RunningNode

PLACES = ("state", "cache", "runtime", "config")


async def test_where_none_runs_its_ports_must_be_free(well, told):
    assert told(await node.check(well())).keys() == {"node"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings(control_port=taken.getsockname()[1])
        found = told(await node.check(well(settings=settings)))["ports"]
    assert found.state == "fail"
    assert "control_port" in found.text


async def test_where_the_system_starts_it_the_mend_is_to_start_its_service(well, told, monkeypatch):
    places = ServicePlaces(account="byoi", **dict.fromkeys(PLACES, Path("/srv/byoi")))
    monkeypatch.setattr(node, "read_installation", lambda: Installation(service=places))
    assert "sudo byoi service start" in told(await node.check(well()))["node"].text


async def test_a_node_that_serves(well, told):
    running = RunningNode("online", engine_state="ready", is_serving=True, standing="serves smol")
    found = told(await node.check(well(node=running)))
    assert [finding.state for finding in found.values()] == ["ok", "ok"]
    assert found["serving"].text == "serves smol"


async def test_a_lost_link_a_failed_engine_and_what_the_node_warns_of(well, told):
    running = RunningNode(
        "waiting",
        link_reason="connection refused",
        engine_state="failed",
        engine_reason="no such model",
        complaints=(Complaint("clock", "it jumped", "set it"),),
    )
    found = told(await node.check(well(node=running)))
    assert (found["link"].state, found["serving"].state) == ("fail", "fail")
    assert "connection refused" in found["link"].text
    assert (found["clock"].state, found["clock"].mend) == ("warn", "set it")


async def test_a_node_that_its_owner_paused_is_not_said_to_serve(well, told):
    paused = RunningNode("online", engine_state="ready", standing="does not serve: paused by you")
    assert told(await node.check(well(node=paused)))["serving"].state == "skipped"
