from __future__ import annotations

from byoi_agent.control.schema import usage_table
from byoi_agent.usage.report import UsageReport, UsageRow, UsageTotals

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
