from __future__ import annotations

import pytest

from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.hardware.devices import DeviceReading
from byoi_agent.link.view import LinkView
from byoi_agent.node.view import NodeView
from byoi_wire.ids import ModelId, NodeId
from byoi_wire.offers import Host

GIB = 1024**3


@pytest.fixture
def ready_view():
    """A node with one card, a ready engine of four slots and a link."""
    return NodeView(
        node_id=NodeId("n1"),
        agent_version="0.1.0",
        host=Host(
            os="Debian",
            architecture="x86_64",
            memory_total_bytes=16 * GIB,
            memory_available_bytes=8 * GIB,
            disk_free_bytes=160 * GIB,
        ),
        devices=(
            DeviceReading(
                index=0,
                kind="nvidia",
                name="H200",
                memory_total_bytes=140 * GIB,
                memory_used_bytes=GIB,
                temperature_celsius=30.0,
            ),
        ),
        engine=EngineView(
            "ready",
            "llamacpp",
            (ServedModel(ModelId("smol"), "smol", ("/v1/chat/completions",), 2048, 7, ("json",)),),
            slots=4,
        ),
        link=LinkView("online"),
    )
