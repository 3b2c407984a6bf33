from __future__ import annotations

import json

import pytest

from byoi_agent.cli import usage as module
from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schema import usage_table
from byoi_agent.usage.report import UsageFilter, UsageReport, UsageRow, UsageTotals

REPORT = UsageReport(
    (UsageRow("2026-11-21", "smol", "complete", 2, 1000, 200, 4),),
    UsageTotals(2, 1000, 200, 4, 1200),
)


@pytest.fixture
def nodes(monkeypatch):
    asked = []

    def run(count, found_by="data_dir", answer=None, state_dir=None):
        def usage(_, chosen):
            asked.append(chosen)
            if answer is not None:
                raise answer
            return usage_table([REPORT])

        client = ControlClient(socket_path="/node")
        nodes = (Instance(client, state_dir),) * count
        monkeypatch.setattr(module, "find", lambda *_, **__: Instances(nodes, found_by))
        monkeypatch.setattr(ControlClient, "usage", usage)
        return asked

    return run


def test_programs_get_rows_and_totals(byoi, nodes):
    nodes(1)
    told = json.loads(byoi("usage", "--json")[1])
    assert told["totals"] == {
        "requests": 2,
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "cached_tokens": 4,
        "total_tokens": 1200,
    }
    assert told["rows"][0]["outcome"] == "complete"


def test_several_nodes_are_summed_and_the_user_is_told(byoi, nodes):
    nodes(2, "demo")
    _, out, err = byoi("usage", "--json")
    assert json.loads(out)["totals"]["total_tokens"] == 2400
    assert "sum of 2 nodes" in err


def test_people_see_a_table_with_its_sums(byoi, nodes):
    nodes(1)
    _, out, _ = byoi("usage")
    assert "smol" in out
    assert "1,200" in out


def test_the_days_and_the_model_are_passed_on(byoi, nodes):
    asked = nodes(1)
    byoi("usage", "--since", "2026-11-01", "--until", "2026-11-30", "--model", "smol")
    assert asked == [UsageFilter("2026-11-01", "2026-11-30", "smol")]


def test_nothing_served_yet_is_an_empty_table_and_a_word(byoi, tmp_path):
    code, out, err = byoi("usage", "--json", "--data-dir", tmp_path)
    assert code == 0
    assert json.loads(out)["totals"]["requests"] == 0
    assert "nothing has been served" in err


def test_without_a_running_node_its_file_is_read(byoi, nodes, monkeypatch, tmp_path):
    nodes(0, "none")
    (tmp_path / "usage.sqlite3").touch()
    monkeypatch.setattr(module, "read_report", lambda *_: REPORT)
    _, out, _ = byoi("usage", "--json", "--data-dir", tmp_path)
    assert json.loads(out)["totals"]["total_tokens"] == 1200


def test_a_node_that_ends_while_it_is_asked_is_read_from_its_file(
    byoi, nodes, monkeypatch, tmp_path
):
    nodes(2, "demo", NodeUnreachable("gone"), tmp_path)
    (tmp_path / "usage.sqlite3").touch()
    monkeypatch.setattr(module, "read_report", lambda *_: REPORT)
    code, out, _ = byoi("usage", "--json")
    assert code == 0
    assert json.loads(out)["totals"]["total_tokens"] == 2400


def test_a_named_node_that_does_not_answer_is_an_error(byoi, nodes):
    nodes(1, "environment", NodeUnreachable("no node answers at http://127.0.0.1:1"))
    assert byoi("usage")[0] == 69
