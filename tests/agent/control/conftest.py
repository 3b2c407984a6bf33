from __future__ import annotations

import asyncio

import pytest

from byoi_agent.control.client import ControlClient
from byoi_agent.control.schema import LinkStatus, StatusReport
from byoi_agent.control.server import ControlServer
from byoi_agent.control.services import ControlServices
from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.usage.report import UsageReport, UsageRow, UsageTotals
from byoi_wire.messages import Advertise
from byoi_wire.offers import Host

ROW = UsageRow("2026-11-21", "smol", "complete", 2, 10, 20, 4)


class Node:
    """What a node's rooms would answer."""

    def __init__(self):
        self.asked = []
        self.failure = None
        self.orders = []
        self.running = 1
        self.uptime = 2.0
        self.report = UsageReport((ROW,), UsageTotals(2, 10, 20, 4, 30))

    async def status(self):
        return StatusReport(
            node_id="n1",
            agent_version="0.1.0",
            pid=1,
            uptime_seconds=self.uptime,
            key_store="file",
            is_serving=True,
            is_draining=False,
            running=self.running,
            waiting=0,
            slots=4,
            queue=1,
            unacknowledged_records=0,
            link=LinkStatus(state="online", console_url="http://127.0.0.1:8700"),
        )

    def offer(self):
        return Advertise(
            version=3, agent_version="0.1.0", host=Host(os="x", architecture="y"), slots=4
        )

    def sleep(self, within_seconds, model):
        self._order("sleep", within_seconds, model)

    def wake(self, model):
        self._order("wake", model)

    def _order(self, *order):
        if order[-1] == "none":
            raise ConfigError("no engine here has the model none")
        self.orders.append(tuple(part for part in order if part is not None))

    async def usage(self, chosen):
        self.asked.append(chosen)
        if self.failure is not None:
            raise self.failure
        return self.report


@pytest.fixture
def node():
    return Node()


@pytest.fixture
async def server(node, tmp_path):
    services = ControlServices(status=node.status, offer=node.offer, usage=node.usage, engine=node)
    async with ControlServer(services, tmp_path / "control.sock") as running:
        yield running


@pytest.fixture
def client(server):
    return ControlClient(socket_path=str(server.socket_path))


@pytest.fixture
def ask():
    """Runs a synchronous client beside the loop that serves it."""
    return asyncio.to_thread


@pytest.fixture
def agent_error():
    return AgentError("the file cannot be read now")
