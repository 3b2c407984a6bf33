from __future__ import annotations

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.daemon.checkup import running_node
from byoi_agent.doctor.patient import Watch
from byoi_agent.node.view import NodeView


@pytest.mark.parametrize(
    ("mode", "heeds"), [("idle", True), ("scheduled", True), ("dedicated", False)]
)
def test_who_is_at_the_machine_matters_where_the_node_makes_way(mode, heeds):
    view = NodeView("n1", "1.0", availability=AvailabilityView(mode=mode))
    watch = Watch(("logind",))
    assert running_node(view, watch).watch == (watch if heeds else None)
