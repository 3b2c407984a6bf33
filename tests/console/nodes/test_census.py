from __future__ import annotations

from types import SimpleNamespace

from byoi_console.nodes.census import census
from byoi_console.routing.registry import Registry


class Live(Registry):
    """Nodes as a test says that they are."""

    def __init__(self, *nodes):
        super().__init__()
        self._nodes = {str(number): node for number, node in enumerate(nodes)}

    def live(self):
        return tuple(self._nodes)

    def facts(self, node_id):
        return self._nodes[node_id]


def node(connected=True, is_serving=True):
    return SimpleNamespace(connected=connected, is_serving=is_serving)


async def test_every_state_is_named(database):
    assert await census(database, Live()) == dict.fromkeys(
        ("serving", "paused", "resuming", "offline"), 0
    )


async def test_nodes_are_counted_by_what_they_do(
    database, enrolment, join_tokens, org_id, machine, records
):
    from byoi_console.nodes.enrolment import JoinRequest

    token = (await join_tokens.create(org_id, "a", uses=4)).token
    enrolled = [await enrolment.join(JoinRequest(**machine(token))) for _ in range(4)]
    await records.revoke(enrolled[0].node_id, "a")
    live = Live(node(), node(is_serving=False))
    assert await census(database, live) == {
        "serving": 1,
        "paused": 1,
        "resuming": 0,
        "offline": 1,
    }
    assert (await census(database, Live(node(connected=False))))["resuming"] == 1
