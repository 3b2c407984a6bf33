from __future__ import annotations

import json

import pytest

from byoi_agent.cli import status as module
from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schema import (
    DeviceStatus,
    EngineStatus,
    LinkStatus,
    StatusReport,
    WarningStatus,
)
from byoi_agent.identity.record import EnrolmentRecord, write_record
from byoi_wire.messages import Advertise
from byoi_wire.offers import Host

REPORT = StatusReport(
    node_id="n1",
    agent_version="0.1.0",
    pid=42,
    uptime_seconds=3,
    key_store="file",
    is_serving=True,
    is_draining=False,
    running=1,
    waiting=0,
    slots=4,
    queue=1,
    unacknowledged_records=7,
    link=LinkStatus(state="online", console_url="https://c"),
    engine=EngineStatus(state="ready", kind="llamacpp", version="1", models=("smol",)),
    devices=(DeviceStatus(index=0, kind="nvidia", name="H200", memory_total_bytes=2 * 1024**3),),
    warnings=(WarningStatus(name="disk", text="the disk is full", mend="make room"),),
)


@pytest.fixture
def nodes(monkeypatch):
    """These nodes run, found in this way."""

    def run(count, found_by="data_dir"):
        nodes = tuple(Instance(ControlClient(socket_path=f"/{name}")) for name in range(count))
        monkeypatch.setattr(module, "find", lambda *_, **__: Instances(nodes, found_by))
        monkeypatch.setattr(ControlClient, "status", lambda _: REPORT)
        offer = Advertise(
            version=1, agent_version="1", host=Host(os="x", architecture="y"), slots=1
        )
        monkeypatch.setattr(ControlClient, "offer", lambda _: offer)

    return run


def test_people_see_what_serves_and_what_is_wrong(byoi, nodes):
    nodes(1)
    code, out, _ = byoi("status")
    assert code == 0
    for words in ("n1", "serving", "smol", "H200", "7 records", "the disk is full", "make room"):
        assert words in out


def test_programs_get_one_object_or_the_list_of_nodes(byoi, nodes):
    nodes(1)
    assert json.loads(byoi("status", "--json")[1])["node_id"] == "n1"
    nodes(2, "demo")
    _, out, err = byoi("status", "--json")
    assert len(json.loads(out)["nodes"]) == 2
    assert "2 nodes of the demo" in err


def test_of_several_nodes_one_that_is_gone_is_told_and_passed_over(byoi, nodes, monkeypatch):
    nodes(2, "demo")

    def only_the_second(client):
        if client.socket_path == "/0":
            raise NodeUnreachable("no node answers at /0")
        return REPORT

    monkeypatch.setattr(ControlClient, "status", only_the_second)
    code, out, err = byoi("status", "--json")
    assert code == 0
    assert json.loads(out)["node_id"] == "n1"
    assert "no node answers at /0" in err
    nodes(1)
    monkeypatch.setattr(ControlClient, "status", only_the_second)
    assert byoi("status")[0] == 69


def test_what_is_sent_is_the_advertisement_itself(byoi, nodes):
    nodes(1)
    assert json.loads(byoi("status", "--what-is-sent")[1])["type"] == "advertise"
    nodes(2)
    assert len(json.loads(byoi("status", "--what-is-sent")[1])) == 2


def test_nothing_runs_and_nothing_is_enrolled(byoi, tmp_path):
    code, _, err = byoi("status", "--data-dir", tmp_path)
    assert code == 69
    assert "byoi enroll" in err


def test_an_enrolled_node_that_does_not_run_is_named(byoi, tmp_path):
    record = EnrolmentRecord(
        node_id="n9",
        key_id="k",
        fingerprint="f",
        key_store="file",
        console_key="x",
        console_key_id="c",
        origin="o",
        console_url="https://c",
    )
    write_record(tmp_path / "identity.json", record)
    code, _, err = byoi("status", "--data-dir", tmp_path)
    assert code == 69
    assert "n9 does not run; start it: byoi run" in err
