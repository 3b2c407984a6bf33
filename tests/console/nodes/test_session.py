"""Which link carries a node's session, who is fenced off, and when a session is over."""

from __future__ import annotations

import json

import pytest

from byoi_console.nodes.session import Sessions
from byoi_console.routing.registry import Registry
from byoi_wire.aio.connection import Closed, Connection
from byoi_wire.aio.memory import pair
from byoi_wire.ids import InstanceId, KeyId, ModelId, NodeId, OrgId, RequestId
from byoi_wire.messages import Advertise, Availability, Hello, OpenHead, ResetCode, ResumeOffer
from byoi_wire.offers import Host, ModelOffer
from byoi_wire.version import STREAM_ID_LIMIT

NODE, ORG = NodeId("node_1"), OrgId("org_1")
OFFER = Advertise(
    version=1,
    agent_version="1",
    host=Host(os="linux", architecture="x"),
    models=(ModelOffer(id=ModelId("m"), engine="test", routes=()),),
    slots=4,
)


class Handler:
    """Remembers how its stream ended."""

    def __init__(self):
        self.code = None

    def reset_received(self, code, reason):
        self.code = code

    def __getattr__(self, name):
        return lambda *_: None


class World:
    def __init__(self):
        self.registry = Registry()
        self.sessions = Sessions(self.registry, grace_seconds=60)

    def hello(self, instance="process-1", resume=None):
        return Hello(
            node_id=NODE,
            key_id=KeyId("k"),
            nonce="n",
            signature="s",
            instance_id=InstanceId(instance),
            version="byoi.v1",
            resume=resume,
        )

    def link(self, live, epoch):
        near, far = pair()
        connection = Connection(near, live.session, lambda message: None)
        self.sessions.carried(live, connection, epoch)
        connection.start()
        self.sessions.advertised(live, OFFER)
        return connection, near, far

    def open(self, live):
        handler = Handler()
        head = OpenHead(
            request_id=RequestId("r"),
            attempt=1,
            ticket="t",
            tenant="o",
            path="/v1/chat/completions",
            model=ModelId("m"),
            deadline_seconds=60,
            body_bytes=0,
        )
        live.session.open(head, handler)
        return handler


@pytest.fixture
async def world():
    world = World()
    yield world
    world.sessions.close()


def said(channel):
    return [json.loads(m) for m in channel.sent if isinstance(m, str)]


async def test_the_same_process_with_its_session_goes_on_and_nobody_is_told_replaced(world):
    first = world.sessions.admit(world.hello(), ORG, 1)
    _, near, _ = world.link(first.live, 1)
    handler = world.open(first.live)
    resume = ResumeOffer(session_id=first.live.session_id, streams=({"stream": 1, "received": 0},))
    again = world.sessions.admit(world.hello(resume=resume), ORG, 2)
    assert again.live is first.live
    assert [offset.stream for offset in again.resumed] == [1]
    assert handler.code is None
    assert not any(message["type"] == "goaway" for message in said(near))


async def test_another_process_ends_the_first_ones_session_and_its_streams_at_once(world):
    first = world.sessions.admit(world.hello(), ORG, 1)
    _, near, _ = world.link(first.live, 1)
    handler = world.open(first.live)
    second = world.sessions.admit(world.hello("process-2"), ORG, 2)
    assert second.resumed is None
    assert handler.code is ResetCode.LOST
    assert {"type": "goaway", "reason": "replaced"}.items() <= said(near)[-1].items()


async def test_a_link_that_lost_the_race_against_a_later_one_is_not_admitted(world):
    world.sessions.admit(world.hello(), ORG, 5)
    assert world.sessions.admit(world.hello(), ORG, 4) is None


async def test_a_stream_that_only_the_console_knows_is_lost(world):
    first = world.sessions.admit(world.hello(), ORG, 1)
    world.link(first.live, 1)
    handler = world.open(first.live)
    resume = ResumeOffer(session_id=first.live.session_id)
    again = world.sessions.admit(world.hello(resume=resume), ORG, 2)
    assert again.resumed == ()
    assert handler.code is ResetCode.LOST


async def test_offsets_that_cannot_be_begin_a_new_session(world):
    first = world.sessions.admit(world.hello(), ORG, 1)
    world.link(first.live, 1)
    handler = world.open(first.live)
    resume = ResumeOffer(
        session_id=first.live.session_id, streams=({"stream": 1, "received": 9_999},)
    )
    again = world.sessions.admit(world.hello(resume=resume), ORG, 2)
    assert again.resumed is None
    assert again.live is not first.live
    assert handler.code is ResetCode.LOST


async def test_a_goodbye_ends_the_session_and_an_accident_lets_it_wait(world):
    live = world.sessions.admit(world.hello(), ORG, 1).live
    connection, *_ = world.link(live, 1)
    assert world.sessions.lost(live, connection, Closed(1006, "")) is False
    assert world.registry.live() == (NODE,)
    again = world.sessions.admit(
        world.hello(resume=ResumeOffer(session_id=live.session_id)), ORG, 2
    )
    connection, *_ = world.link(again.live, 2)
    assert world.sessions.lost(live, connection, Closed(1000, "")) is True
    assert world.registry.live() == ()


async def test_the_end_of_a_link_that_was_replaced_already_is_no_news(world):
    live = world.sessions.admit(world.hello(), ORG, 1).live
    old, *_ = world.link(live, 1)
    world.link(live, 2)
    assert world.sessions.lost(live, old, Closed(1006, "")) is False
    assert live.grace is None


async def test_a_session_without_stream_ids_ends_once_its_last_stream_has(world):
    live = world.sessions.admit(world.hello(), ORG, 1).live
    _, near, _ = world.link(live, 1)
    live.session._mux._newest = STREAM_ID_LIMIT - 1
    world.open(live)
    world.sessions.renew_exhausted()
    assert world.registry.live() == (NODE,)  # one answer is still to come
    live.session.reset(STREAM_ID_LIMIT, ResetCode.CANCELLED)
    world.sessions.renew_exhausted()
    assert world.registry.live() == ()
    assert said(near)[-1]["reason"] == "stream_ids"


async def test_nodes_are_told_when_to_come_back_each_at_a_time_of_its_own(world):
    live = world.sessions.admit(world.hello(), ORG, 1).live
    _, near, _ = world.link(live, 1)
    world.sessions.drain(lambda: 0.25, 30.0)
    assert said(near)[-1] == {
        "type": "goaway",
        "reason": "restart",
        "reconnect_in_ms": 250,
        "try_for_ms": 30_000,
    }


async def test_a_node_whose_link_was_only_being_proven_is_told_as_well(world):
    world.sessions.drain(lambda: 0.25, 30.0)
    live = world.sessions.admit(world.hello(), ORG, 1).live
    _, near, _ = world.link(live, 1)
    (goaway,) = [message for message in said(near) if message["type"] == "goaway"]
    assert (goaway["reason"], goaway["reconnect_in_ms"]) == ("restart", 250)


async def test_an_order_for_a_new_key_waits_for_a_link_and_is_given_once(world):
    assert world.sessions.ask_for_new_key(NODE) is False
    first = world.sessions.admit(world.hello(), ORG, 1)
    connection, near, _ = world.link(first.live, 1)
    assert [message["type"] for message in said(near)].count("rotate_key") == 1
    assert world.sessions.ask_for_new_key(NODE) is True
    assert [message["type"] for message in said(near)].count("rotate_key") == 2
    world.sessions.lost(first.live, connection, Closed(1006, ""))
    assert world.sessions.ask_for_new_key(NODE) is False


async def test_a_link_s_address_is_known_while_it_lasts(world):
    first = world.sessions.admit(world.hello(), ORG, 1)
    near, _ = pair()
    connection = Connection(near, first.live.session, lambda message: None)
    world.sessions.carried(first.live, connection, 1, "198.51.100.7")
    assert world.sessions.address(NODE) == "198.51.100.7"
    world.sessions.lost(first.live, connection, Closed(1006, ""))
    assert world.sessions.address(NODE) is None


async def test_what_a_node_says_of_itself_holds_whether_before_or_after_its_offer(world):
    away = Availability(serving=False, reason="paused by its owner", code="paused")
    live = world.sessions.admit(world.hello(), ORG, 1).live
    world.sessions.available(live, away)
    world.link(live, 1)
    assert world.registry.candidates("m", ORG) == []
    assert world.registry.facts(NODE).availability == away
    world.sessions.available(live, Availability(serving=True))
    assert world.registry.candidates("m", ORG)
    world.sessions.available(live, away)
    assert world.registry.candidates("m", ORG) == []


async def test_a_new_session_knows_nothing_of_what_the_last_one_said(world):
    live = world.sessions.admit(world.hello(), ORG, 1).live
    world.sessions.available(live, Availability(serving=False))
    world.link(live, 1)
    again = world.sessions.admit(world.hello("process-2"), ORG, 2).live
    world.link(again, 2)
    assert world.registry.candidates("m", ORG)
