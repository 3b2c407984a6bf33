from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from byoi_agent.clock import SystemClock
from byoi_agent.config.paths import Paths
from byoi_agent.control.answers import Answers
from byoi_agent.errors import ConfigError, IdentityError
from byoi_agent.identity.record import EnrolmentRecord, write_record
from byoi_agent.node.board import Board
from byoi_agent.node.view import NodeView
from byoi_agent.update.told import Told
from byoi_wire.ids import KeyId, NodeId
from byoi_wire.offers import Host

VIEW = NodeView(NodeId("n1"), "0.1.0", Host(os="Debian", architecture="x86_64"))


def unreadable():
    raise ConfigError("installation.json cannot be used")


def answers(updates=lambda: None, state=Path("/nowhere")):
    return Answers(
        board=Board(VIEW),
        keys=SimpleNamespace(identity=SimpleNamespace(key_store="file")),
        outbox=SimpleNamespace(unacknowledged_records=0),
        tally=SimpleNamespace(view=lambda: None),
        books=SimpleNamespace(today=lambda: None),
        energy=None,
        door=None,
        paths=Paths(*[state] * 3),
        console_url="https://console.example",
        clock=SystemClock(),
        started_at=0.0,
        log=lambda: None,
        updates=updates,
    )


async def test_an_installation_that_cannot_be_understood_costs_what_it_says_of_updates_alone():
    report = await answers(unreadable).status()
    assert (report.node_id, report.update) == ("n1", None)
    report = await answers(lambda: Told(available="2")).status()
    assert report.update.available == "2"


def test_a_nodes_keys_are_those_of_its_record_and_one_that_is_gone_is_told(tmp_path):
    node = answers(state=tmp_path)
    with pytest.raises(IdentityError, match="byoi enroll"):
        node.key_list()
    record = EnrolmentRecord(
        node_id=NodeId("n1"),
        key_id=KeyId("k1"),
        fingerprint="0" * 16,
        key_store="file",
        console_key="AAAA",
        console_key_id=KeyId("c1"),
        origin="https://c",
        console_url="https://c",
    )
    write_record(tmp_path / "identity.json", record)
    assert [(key.key_id, key.state) for key in node.key_list().keys] == [("k1", "present")]
