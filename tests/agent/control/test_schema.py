from __future__ import annotations

from byoi_agent.control.schema import devices_of, engine_of, usage_table
from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.hardware.devices import DeviceReading
from byoi_agent.node.view import NodeView
from byoi_agent.usage.report import UsageReport, UsageRow, UsageTotals
from byoi_wire.ids import ModelId, NodeId

ROW = UsageRow("2026-11-21", "smol", "complete", 2, 10, 20, 4)


def test_reports_of_several_nodes_are_added_line_by_line():
    other = UsageRow("2026-11-20", "smol", "failed", 1, 5, 0, 0)
    one = UsageReport((ROW,), UsageTotals(2, 10, 20, 4, 30))
    two = UsageReport((ROW, other), UsageTotals(3, 15, 20, 4, 35))
    table = usage_table([one, two])
    assert [(row.day, row.outcome, row.requests, row.total_tokens) for row in table.rows] == [
        ("2026-11-20", "failed", 1, 5),
        ("2026-11-21", "complete", 4, 60),
    ]
    assert table.totals.model_dump() == {
        "requests": 5,
        "prompt_tokens": 25,
        "completion_tokens": 40,
        "cached_tokens": 8,
        "total_tokens": 65,
    }


def test_tables_can_be_added_again():
    table = usage_table([UsageReport((ROW,), UsageTotals())])
    assert usage_table([table]) == table


def test_no_report_is_an_empty_table():
    assert usage_table([]).totals.requests == 0


def test_an_engine_is_described_by_what_it_serves():
    view = NodeView(
        node_id=NodeId("n"),
        agent_version="1",
        engine=EngineView(
            "ready",
            "llamacpp",
            (ServedModel(ModelId("m"), "m", ()),),
            4,
            7,
            "unix:///s",
            "1",
            None,
            2,
        ),
    )
    status = engine_of(view)
    assert (status.models, status.pid, status.url, status.restarts) == (("m",), 7, "unix:///s", 2)
    assert engine_of(NodeView(node_id=NodeId("n"), agent_version="1")) is None


def test_a_device_is_described_without_its_serial():
    (device,) = devices_of([DeviceReading(index=0, kind="nvidia", name="H200", uuid="GPU-1")])
    assert device.name == "H200"
    assert "GPU-1" not in device.model_dump_json()
