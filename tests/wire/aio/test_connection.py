"""Two sessions joined by connections over a channel in memory; time jumps, nobody waits for it."""

from __future__ import annotations

import asyncio
import struct
from types import SimpleNamespace

import pytest

from byoi_wire import codec
from byoi_wire.aio import connection as module
from byoi_wire.aio.channel import FULL_BYTES
from byoi_wire.aio.connection import GATHER_SECONDS, Connection
from byoi_wire.aio.memory import pair
from byoi_wire.aio.session import Session
from byoi_wire.errors import ProtocolViolation
from byoi_wire.messages import AnswerHead, Data, Goaway, Ping, Pong, Renew, ResetCode
from byoi_wire.version import MESSAGE_LIMIT_BYTES, WINDOW_BYTES, WRITE_BUFFER_BYTES


async def turns(count: int = 8) -> None:
    """Let all that is due on the loop happen; time stands still."""
    for _ in range(count):
        await asyncio.sleep(0)


class Both:
    """A console's and a node's session over one link after another."""

    def __init__(self, recorder) -> None:
        self.at_node = recorder()
        self.controls = []
        self.console = Session()
        self.node = Session(accept=lambda *_: self.at_node)
        self.connect()

    def connect(self) -> None:
        self.console_end, self.node_end = pair()
        self.at_console_link = Connection(self.console_end, self.console, self.controls.append)
        self.at_node_link = Connection(self.node_end, self.node, self.controls.append)
        self.at_console_link.start()
        self.at_node_link.start()

    @property
    def links(self):
        return self.at_console_link, self.at_node_link


@pytest.fixture
def play(in_virtual_time, recorder):
    """Runs `story(both)` beside both connections; gives how each of them ended."""

    def run(story):
        async def whole():
            both = Both(recorder)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(link.run()) for link in both.links]
                await story(both)
                both.at_console_link.abort("the story is over")
            return [task.result() for task in running]

        return in_virtual_time(whole())

    return run


def messages(channel, kind=bytes):
    return [message for message in channel.sent if isinstance(message, kind)]


def count_frames(channel) -> int:
    return sum(len(codec.decode(message)) for message in messages(channel))


def test_frames_of_one_turn_leave_as_one_message(play, recorder, head):
    async def story(both):
        for _ in range(3):
            stream = both.console.open(head, recorder())
            both.console.send(stream, b"ask")
            both.console.end(stream)
        assert messages(both.console_end) == []
        await turns()
        assert len(messages(both.console_end)) == 1
        assert count_frames(both.console_end) == 9
        assert both.at_node.body == b"ask" * 3

    play(story)


async def busy(both, recorder, head, streams: int = 20):
    """Streams under way, and so many frames that the link counts as busy."""
    ids = [both.console.open(head, recorder()) for _ in range(streams)]
    await turns()
    for stream in ids:
        both.node.send_head(stream, AnswerHead(status=200))
        both.node.send(stream, b"first")
    await turns()
    both.node_end.sent.clear()
    return ids


def test_while_the_link_is_busy_data_waits_for_company_two_milliseconds_at_most(
    play, recorder, head
):
    async def story(both):
        ids = await busy(both, recorder, head)
        loop = asyncio.get_running_loop()
        for stream in ids[:5]:
            both.node.send(stream, b"x")
            await turns(3)
        assert messages(both.node_end) == []
        began = loop.time()
        while not messages(both.node_end):
            await asyncio.sleep(GATHER_SECONDS / 10)
        assert loop.time() - began <= GATHER_SECONDS * 1.2
        assert len(messages(both.node_end)) == 1
        assert count_frames(both.node_end) == 5

    play(story)


@pytest.mark.parametrize("what", ["end", "reset"])
def test_what_ends_a_stream_never_waits(play, recorder, head, what):
    async def story(both):
        ids = await busy(both, recorder, head)
        both.node.send(ids[0], b"x")
        await turns()
        assert messages(both.node_end) == []
        if what == "end":
            both.node.end(ids[1])
        else:
            both.node.reset(ids[1], ResetCode.ENGINE_ERROR)
        await turns(2)
        assert len(messages(both.node_end)) == 1
        assert count_frames(both.node_end) == 2

    play(story)


def test_what_begins_an_answer_never_waits(play, recorder, head):
    async def story(both):
        late = both.console.open(head, recorder())
        ids = await busy(both, recorder, head)
        both.node.send(ids[0], b"x")
        await turns()
        assert messages(both.node_end) == []
        both.node.send_head(late, AnswerHead(status=200))
        await turns(2)
        assert len(messages(both.node_end)) == 1
        both.node.send(late, b"first")
        await turns(2)
        assert len(messages(both.node_end)) == 2
        both.node.send(late, b"second")
        await turns(2)
        assert len(messages(both.node_end)) == 2

    play(story)


def test_what_begins_a_request_never_waits(play, recorder, head):
    async def story(both):
        ids = await busy(both, recorder, head)
        for _ in range(2):
            for stream in ids:
                both.console.send(stream, b"x")
            await turns()
        both.console_end.sent.clear()
        both.console.send(ids[0], b"x")
        await turns()
        assert messages(both.console_end) == []
        both.console.open(head, recorder())
        await turns(2)
        assert len(messages(both.console_end)) == 1

    play(story)


def test_control_goes_at_once_ahead_of_frames_that_wait(play, recorder, head):
    async def story(both):
        stream = both.console.open(head, recorder())
        both.console.send(stream, bytes(100_000))
        both.at_console_link.control(Renew(seq=3))
        assert both.console_end.sent == ['{"type":"renew","seq":3}']
        await turns()
        assert both.controls == [Renew(seq=3)]

    play(story)


def test_pings_are_answered_and_other_control_goes_to_its_owner(play):
    async def story(both):
        both.console_end.send(codec.encode_control(Ping(seq=7)))
        both.console_end.send('{"type":"from.a.later.version"}')
        both.console_end.send(codec.encode_control(Goaway(reason="drain")))
        await turns()
        assert both.node_end.sent == [codec.encode_control(Pong(seq=7))]
        assert both.controls == [Goaway(reason="drain")]

    play(story)


@pytest.mark.parametrize(("is_open", "every"), [(True, 2.0), (False, 10.0)])
def test_pings_go_every_two_seconds_while_streams_are_open_and_every_ten_when_idle(
    play, recorder, head, is_open, every
):
    async def story(both):
        if is_open:
            both.console.open(head, recorder())
        await asyncio.sleep(every * 10)
        for end in (both.console_end, both.node_end):
            pings = [m for m in messages(end, str) if '"ping"' in m]
            assert len(pings) == 10
        assert not both.at_console_link._closed.done()

    play(story)


def test_a_stream_that_opens_on_an_idle_link_hurries_the_next_ping_at_both_ends(
    play, recorder, head
):
    async def story(both):
        await asyncio.sleep(1)
        both.console.consumed(1, 1)
        both.at_console_link.poke(is_urgent=False)  # a flush is due already
        both.console.open(head, recorder())
        await asyncio.sleep(2.1)
        for end in (both.console_end, both.node_end):
            assert [m for m in messages(end, str) if '"ping"' in m]

    play(story)


@pytest.mark.parametrize(("is_open", "bound"), [(True, 5.0), (False, 20.0)])
@pytest.mark.parametrize("moment", [0.01, 0.5, 1.9, 2.1, 9.9, 10.1, 20.05])
def test_a_silent_network_is_noticed_in_time(play, recorder, head, is_open, bound, moment):
    ends = []

    async def story(both):
        if is_open:
            both.console.open(head, recorder())
        await asyncio.sleep(moment)
        loop = asyncio.get_running_loop()
        both.console_end.cut()
        cut_at = loop.time()
        while not all(link._closed.done() for link in both.links):
            await asyncio.sleep(0.05)
        ends.append(loop.time() - cut_at)

    closed = play(story)
    assert ends[0] <= bound
    assert [(end.code, end.reason) for end in closed] == [(1006, "2 pings unanswered")] * 2


def test_any_message_counts_as_life(play, recorder, head):
    async def story(both):
        both.console.open(head, recorder())
        await turns()
        both.at_node_link._control_received = lambda _: None  # it never answers a ping
        for _ in range(40):
            await asyncio.sleep(1.0)
            both.at_node_link.control(Renew(seq=1))
            both.at_console_link.control(Renew(seq=1))
        assert not both.at_console_link._closed.done()

    play(story)


@pytest.mark.parametrize("jump", [-3600, -5.5, 5.5, 3600])
def test_a_jump_of_the_clock_drops_the_link(play, monkeypatch, jump):
    offset = [100.0]
    monkeypatch.setattr(module, "_clock_offset", lambda: offset[0])

    async def story(both):
        offset[0] += jump
        await asyncio.sleep(10.1)
        assert both.at_console_link._closed.result().reason.startswith("the clock jumped")

    play(story)


def test_small_corrections_of_the_clock_are_no_jump_however_many(play, monkeypatch):
    offset = [100.0]
    monkeypatch.setattr(module, "_clock_offset", lambda: offset[0])

    async def story(both):
        for _ in range(20):
            offset[0] += 1.0
            await asyncio.sleep(10)
        assert not both.at_console_link._closed.done()

    play(story)


def test_the_clocks_are_compared():
    assert module._clock_offset() > 0


TOO_BIG = struct.pack(">BBII", 3, 0, 1, 20_000) + bytes(20_000)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"\x09", 1002),
        (codec.encode([Data(7, b"never opened")]), 1002),
        (TOO_BIG, 1009),
        (bytes(MESSAGE_LIMIT_BYTES + 1), 1009),
        ("{", 1002),
    ],
)
def test_a_broken_protocol_closes_the_link_with_its_code(play, message, code):
    async def story(both):
        both.console_end.send(message)
        both.console_end.send(codec.encode_control(Renew(seq=1)))
        await turns()
        assert both.controls == []  # nothing is believed after it

    ended = play(story)
    assert [end.code for end in ended] == [code, code]


def test_a_control_message_that_its_owner_refuses_closes_the_link(play):
    async def story(both):
        def refuse(_):
            raise ProtocolViolation("not from you", 1008)

        both.at_node_link._on_control = refuse
        both.at_console_link.control(Renew(seq=1))
        await turns()

    assert [end.code for end in play(story)] == [1008, 1008]


def test_every_text_is_told_of_before_it_is_read_and_may_be_one_too_many(play):
    heard = []

    def on_text():
        heard.append("text")
        if len(heard) > 3:
            raise ProtocolViolation("too much talk", 1008)

    async def story(both):
        both.at_node_link._on_text = on_text
        both.at_console_link.control(Ping(seq=1))
        both.console_end.send('{"type": "of a later version"}')
        both.at_console_link.control(Renew(seq=1))
        await turns()
        assert heard == ["text"] * 3
        both.at_console_link.control(Renew(seq=2))
        await turns()
        assert both.controls == [Renew(seq=1)]

    _, node = play(story)
    assert (node.code, node.reason) == (1008, "too much talk")


def test_no_more_is_handed_to_a_full_channel_than_its_limit(play, recorder, head):
    async def story(both):
        handed = 0
        held = SimpleNamespace(total=0)
        real_send = both.console_end.send

        def send(message):
            nonlocal handed
            handed += len(message)
            held.total += len(message)
            both.console_end.fill(held.total)
            real_send(message)

        both.console_end.send = send
        for _ in range(8):
            both.console.send(both.console.open(head, recorder()), bytes(WINDOW_BYTES))
        await turns()
        assert FULL_BYTES < handed <= WRITE_BUFFER_BYTES
        await asyncio.sleep(1)
        assert handed <= WRITE_BUFFER_BYTES
        for _ in range(100):
            held.total = 0
            both.console_end.fill(0)
            assert held.total <= WRITE_BUFFER_BYTES
            await turns()
        # All that the windows allow; not a byte more.
        assert len(both.at_node.body) == 8 * (WINDOW_BYTES - 1)

    play(story)


def test_resets_leave_first_when_a_full_channel_has_room_again(play, recorder, head):
    async def story(both):
        stream = both.console.open(head, recorder())
        await turns()
        both.console_end.fill(FULL_BYTES + 1)
        both.console_end.sent.clear()
        other = both.console.open(head, recorder())
        both.console.send(other, b"later")
        both.console.reset(stream, ResetCode.CANCELLED)
        await turns()
        assert both.console_end.sent == []
        both.console_end.fill(0)
        (message,) = messages(both.console_end)
        assert [type(frame).__name__ for frame in codec.decode(message)] == [
            "Reset",
            "Open",
            "Data",
        ]

    play(story)


def test_a_stream_cut_in_the_turn_in_which_it_was_opened_sends_nothing(play, recorder, head):
    async def story(both):
        both.console.reset(both.console.open(head, recorder()), ResetCode.CANCELLED)
        await turns()
        assert messages(both.console_end) == []

    play(story)


def test_a_writer_that_was_stopped_goes_on(play, recorder, head):
    async def story(both):
        left = [bytes(30_000)] * 100
        client = recorder()

        def write(*words):
            if words[0] == "allowed":
                while left and both.console.send(stream, left.pop()):
                    pass

        client._then = write
        both.at_node._then = lambda *words: (
            words[0] == "data" and both.node.consumed(stream, len(words[1]))
        )
        stream = both.console.open(head, client)
        write("allowed")
        assert left
        await asyncio.sleep(1)
        assert not left
        assert len(both.at_node.body) == 3_000_000

    play(story)


def test_a_peer_that_never_reads_costs_no_more_than_its_windows(play, recorder, head):
    async def story(both):
        both.console_end.cut()
        stream = both.console.open(head, recorder())
        sent = 0
        while both.console.send(stream, bytes(10_000)):
            sent += 10_000
            await turns(2)
        assert sent <= WINDOW_BYTES + 100_000

    play(story)


def test_streams_outlive_a_lost_link(in_virtual_time, recorder, head):
    async def story():
        both = Both(recorder)
        client = recorder()
        stream = both.console.open(head, client)
        await turns()
        both.node.send_head(stream, AnswerHead(status=200))
        both.node.send(stream, b"one")
        await turns()
        both.console_end.cut()
        both.node.send(stream, b"two")
        both.node.end(stream)
        async with asyncio.TaskGroup() as tasks:
            for link in both.links:
                tasks.create_task(link.run())
        assert client.heard[-1] == ("lost",)
        both.node.settle(both.console.settle(both.node.offer()))
        both.connect()
        await turns()
        assert client.body == b"onetwo"
        assert [words[0] for words in client.heard] == [
            "head",
            "data",
            "lost",
            "resumed",
            "data",
            "end",
        ]
        await asyncio.sleep(GATHER_SECONDS)  # what acknowledges an end waits for company
        both.at_console_link.close()
        async with asyncio.TaskGroup() as tasks:
            for link in both.links:
                tasks.create_task(link.run())
        assert both.console.unfinished == both.node.unfinished == 0

    in_virtual_time(story())


def test_what_came_right_behind_the_handshake_is_heard_first(in_virtual_time):
    async def story():
        left, right = pair()
        heard = []
        connection = Connection(right, Session(), heard.append)
        left.send(codec.encode_control(Renew(seq=2)))
        await turns()
        connection.start([codec.encode_control(Renew(seq=1))])
        await turns()
        assert heard == [Renew(seq=1), Renew(seq=2)]
        connection.abort("done")
        await connection.run()

    in_virtual_time(story())


def test_cancelled_it_says_goodbye(in_virtual_time):
    async def story():
        left, right = pair()
        session = Session()
        connection = Connection(right, session, print)
        connection.start()
        task = asyncio.ensure_future(connection.run())
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await turns()
        assert left._closed == (1000, "going away")
        assert not session.connected

    in_virtual_time(story())


def test_a_goodbye_to_a_peer_that_is_gone_takes_a_moment_only(in_virtual_time):
    async def story():
        _, right = pair()
        connection = Connection(right, Session(), print)
        connection.start()
        right.close = lambda *_: None
        loop = asyncio.get_running_loop()
        began = loop.time()
        await connection.goodbye("going away")
        assert loop.time() - began == pytest.approx(module.GOODBYE_SECONDS)
        connection.abort("done")
        await connection.run()

    in_virtual_time(story())


def test_nothing_is_sent_or_heard_once_it_has_ended(play, recorder, head):
    async def story(both):
        both.console.open(head, recorder())
        both.at_console_link.abort("enough")
        both.at_console_link.close(1000)
        both.at_console_link.message_received(codec.encode_control(Renew(seq=1)))
        both.console_end.sent.clear()
        await asyncio.sleep(30)
        assert both.console_end.sent == []
        assert both.controls == []

    closed = play(story)
    assert (closed[0].code, closed[0].reason) == (1006, "enough")
