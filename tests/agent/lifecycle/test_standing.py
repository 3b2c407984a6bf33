from __future__ import annotations

from dataclasses import replace

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.lifecycle.standing import standing
from byoi_agent.link.view import LinkView
from byoi_agent.node.view import Load, NodeView

ENGINE = EngineView("ready", "llamacpp", models=(ServedModel("smol", "smol", ()),), slots=4)
SERVING = NodeView("n1", "1", engine=ENGINE, link=LinkView("online"))
AWAY = AvailabilityView("idle", state="yield", code="active", reason="jo is at the keyboard")


@pytest.mark.parametrize(
    ("view", "line"),
    [
        (SERVING, "serves smol; 0 requests in flight"),
        (replace(SERVING, load=Load(1)), "serves smol; 1 request in flight"),
        (replace(SERVING, load=Load(1, 1), is_draining=True), "stops: 2 requests to end first"),
        (replace(SERVING, availability=AWAY), "does not serve: jo is at the keyboard"),
        (
            replace(SERVING, availability=AWAY, load=Load(1)),
            "does not serve: jo is at the keyboard; 1 request to end first",
        ),
        (
            replace(SERVING, link=LinkView("waiting", "connection refused")),
            "waits for the console: connection refused",
        ),
        (replace(SERVING, link=LinkView()), "waits for the console"),
        (replace(SERVING, engine=None), "waits for its engine"),
        (
            replace(SERVING, engine=EngineView("failed", "x", reason="no such model")),
            "waits for its engine (failed): no such model",
        ),
    ],
)
def test_one_line_says_what_the_node_does_or_waits_for(view, line):
    assert standing(view) == line
