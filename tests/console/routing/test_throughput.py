from __future__ import annotations

import pytest

from byoi_console.routing.throughput import WINDOW_SECONDS, Throughput
from byoi_wire.ids import NodeId

NODE = NodeId("node_1")


def test_a_node_that_answered_nothing_has_no_throughput():
    throughput = Throughput()
    throughput.add(NODE, 0, 5.0)
    assert throughput.per_second(NODE, 5.0) == 0.0
    assert not throughput._nodes


def test_tokens_of_the_last_minute_are_spread_over_its_seconds():
    throughput = Throughput()
    for now, tokens in ((0.1, 30), (0.9, 30), (20.0, 60)):
        throughput.add(NODE, tokens, now)
    throughput.add(NodeId("node_2"), 6000, 20.0)
    assert throughput.per_second(NODE, 20.0) == pytest.approx(2.0)


def test_what_ended_longer_ago_than_the_window_no_longer_counts():
    throughput = Throughput()
    throughput.add(NODE, 60, 0.0)
    throughput.add(NODE, 120, 30.0)
    assert throughput.per_second(NODE, WINDOW_SECONDS - 0.5) == pytest.approx(3.0)
    assert throughput.per_second(NODE, WINDOW_SECONDS + 0.5) == pytest.approx(2.0)
    assert throughput.per_second(NODE, 10 * WINDOW_SECONDS) == 0.0
    assert not throughput._nodes  # a node that left is not remembered for ever


def test_a_busy_node_takes_a_number_per_second_at_most():
    throughput = Throughput()
    for request in range(100_000):
        throughput.add(NODE, 1, request / 1000)
    assert len(throughput._nodes[NODE]) <= WINDOW_SECONDS
