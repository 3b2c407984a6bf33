from __future__ import annotations

import subprocess
import sys

import pytest

from byoi_agent.config.lock import StateLock
from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.identity.record import EnrolmentRecord, write_record

RECORD = EnrolmentRecord(
    node_id="n1", key_id="k1", fingerprint="0" * 64, key_store="file", console_key="",
    console_key_id="c1", console_url="https://c", origin="https://c",
)  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("BYOI_DATA_DIR", str(tmp_path / "state"))
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


def test_a_node_that_answers_is_well_however_its_engine_is(byoi, monkeypatch):
    node = Instance(ControlClient(socket_path="/n"))
    monkeypatch.setattr(
        "byoi_agent.cli.healthy.find", lambda *_, **__: Instances((node,), "data_dir")
    )
    monkeypatch.setattr(ControlClient, "version", lambda _: None)
    assert byoi("status", "--healthy")[:2] == (0, "it answers\n")

    def silent(_):
        raise NodeUnreachable("it does not answer")

    monkeypatch.setattr(ControlClient, "version", silent)
    code, _, told = byoi("status", "--healthy")
    assert (code, told) == (69, "byoi: it does not answer\n")


def test_who_waits_to_be_approved_needs_no_restart(byoi, place):
    assert byoi("status", "--healthy")[0] == 69
    with StateLock(place / "byoi.lock"):
        assert byoi("status", "--healthy")[:2] == (0, "it waits to be enrolled\n")
        write_record(place / "identity.json", RECORD)
        code, _, told = byoi("status", "--healthy")
    assert code == 69
    assert f"no node runs with the data folder {place}" in told


def test_a_lock_that_a_dead_process_left_is_nobodys(byoi, place):
    (place / "byoi.lock").write_text("no number")
    assert byoi("status", "--healthy")[0] == 69
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (place / "byoi.lock").write_text(f"{gone.pid}\n")
    assert byoi("status", "--healthy")[0] == 69


def test_health_is_told_by_the_exit_code_alone(byoi):
    code, _, told = byoi("status", "--healthy", "--json")
    assert code == 64
    assert "give it by itself" in told
