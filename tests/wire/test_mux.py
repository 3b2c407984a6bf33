"""Two muxes joined by a line that keeps order and may lose everything under way."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from byoi_wire import codec, resume, window
from byoi_wire.errors import ProtocolViolation
from byoi_wire.messages import (
    Data,
    DataFlag,
    DataReceived,
    End,
    EndReceived,
    Head,
    HeadReceived,
    Open,
    Reset,
    ResetCode,
    ResetReceived,
    StreamOpened,
    Window,
)
from byoi_wire.mux import QUEUE_HIGH_BYTES, QUEUE_LOW_BYTES, URGENT_LIMIT, Mux
from byoi_wire.version import DATA_LIMIT_BYTES, STREAM_ID_LIMIT, STREAMS_LIMIT

WINDOW = 1000
PLENTY = 1 << 30


def content(stream: int, start: int, count: int) -> bytes:
    """Bytes that tell where in which stream they belong."""
    return bytes((stream * 31 + position) % 251 for position in range(start, start + count))


class Side:
    """One end: its mux, and what its application has sent and heard."""

    def __init__(self, *, opens: bool, window: int = WINDOW) -> None:
        self.mux = Mux(opens=opens, window=window)
        self.line: deque = deque()  # frames under way to the other side
        self.sent: dict[int, int] = {}
        self.heard: dict[int, int] = {}
        self.consumed: dict[int, int] = {}
        self.headed: set[int] = set()
        self.half_closed: set[int] = set()
        self.ended: set[int] = set()
        self.over: dict[int, str] = {}

    @property
    def live(self) -> list[int]:
        return [stream for stream in self.heard if stream not in self.over]

    def hear(self, event) -> None:
        if event is None:
            return
        stream = event.stream
        assert stream not in self.over, "an event after the stream was over"
        match event:
            case StreamOpened():
                assert stream not in self.heard
                self.sent[stream] = self.heard[stream] = self.consumed[stream] = 0
            case HeadReceived():
                assert stream not in self.headed
                self.headed.add(stream)
            case DataReceived(_, data, _):
                assert data == content(stream, self.heard[stream], len(data))
                self.heard[stream] += len(data)
            case EndReceived():
                assert stream not in self.ended
                self.ended.add(stream)
                if self.mux.opens:
                    self.over[stream] = "complete"
            case ResetReceived():
                self.over[stream] = "reset"

    def open(self) -> int:
        stream = self.mux.open(b"{}")
        self.sent[stream] = self.heard[stream] = self.consumed[stream] = 0
        return stream

    def head(self, stream: int) -> None:
        self.headed.add(stream)
        self.mux.head(stream, b"{}")

    def send(self, stream: int, count: int) -> None:
        self.mux.send(stream, content(stream, self.sent[stream], count))
        self.sent[stream] += count

    def end(self, stream: int) -> None:
        self.half_closed.add(stream)
        self.mux.end(stream, b"{}")

    def reset(self, stream: int) -> None:
        self.mux.reset(stream, ResetCode.CANCELLED, "enough")
        if self.mux.opens or stream not in self.half_closed:
            self.over[stream] = "reset"

    def consume(self, stream: int, count: int) -> None:
        count = min(count, self.heard[stream] - self.consumed[stream])
        self.consumed[stream] += count
        self.mux.consumed(stream, count)

    def flush(self, budget_bytes: int = PLENTY) -> None:
        frames = self.mux.take(budget_bytes)
        kinds = [isinstance(frame, Reset | Window) for frame in frames]
        assert kinds == sorted(kinds, reverse=True), "a window or a reset waited behind a body"
        self.line.extend(codec.decode(codec.encode(frames)) if budget_bytes < PLENTY else frames)

    def lose(self, streams) -> None:
        for stream in streams:
            if stream in self.heard:
                self.over.setdefault(stream, "lost")


class Pair:
    """Console and node, and the line between them."""

    def __init__(self, window: int = WINDOW) -> None:
        self.console = Side(opens=True, window=window)
        self.node = Side(opens=False, window=window)
        self.sides = (self.console, self.node)

    def other(self, side: Side) -> Side:
        return self.node if side is self.console else self.console

    def deliver(self, sender: Side, count: int = PLENTY) -> None:
        receiver = self.other(sender)
        while sender.line and count:
            count -= 1
            receiver.hear(receiver.mux.receive(sender.line.popleft()))

    def cut(self) -> None:
        for side in self.sides:
            side.line.clear()
            side.mux.disconnect()

    def resume(self) -> None:
        offered = resume.offer(self.node.mux)
        at_console = resume.settle(self.console.mux, offered)
        self.console.lose(at_console.lost)
        self.node.lose(resume.settle(self.node.mux, at_console.resumed).lost)

    def settle_down(self) -> None:
        """Deliver and consume until nothing moves."""
        for _ in range(2000):
            for side in self.sides:
                for stream in side.heard:
                    side.consume(stream, PLENTY)
                side.flush()
            if not any(side.line for side in self.sides):
                return
            for side in self.sides:
                self.deliver(side)
        pytest.fail("the line never came to rest")

    def finish(self) -> None:
        """End all that is not over, and check that nothing was lost, doubled or forgotten."""
        self.settle_down()
        for stream in self.console.live:
            if stream not in self.console.half_closed:
                self.console.end(stream)
        self.settle_down()
        for stream in self.node.live:
            if stream not in self.node.headed:
                self.node.head(stream)
            if stream not in self.node.half_closed:
                self.node.end(stream)
        self.settle_down()
        self.check_complete()

    def check_complete(self) -> None:
        for stream, outcome in self.console.over.items():
            if outcome == "complete":
                assert self.console.heard[stream] == self.node.sent[stream]
                if stream in self.node.ended:
                    assert self.node.heard[stream] == self.console.sent[stream]
        assert not self.console.live
        assert all(s in self.node.half_closed for s in self.node.live)
        for side in self.sides:
            assert len(side.mux) == 0, "a finished stream was kept"
            assert not side.mux.take(PLENTY)
            assert not side.mux.has_frames


class LossyLine(RuleBasedStateMachine):
    """Whatever the applications do and wherever the link breaks, streams stay whole."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.is_linked = True

    sides = st.sampled_from([0, 1])
    places = st.integers(0, 20)
    sizes = st.one_of(st.integers(1, 40), st.integers(1, 3 * WINDOW))
    rarely = st.integers(0, 5).map(lambda number: number == 5)

    def pick(self, streams: list[int], at: int) -> int | None:
        return streams[at % len(streams)] if streams else None

    def writable(self, side: Side) -> list[int]:
        return [stream for stream in side.live if stream not in side.half_closed]

    def answer(self, side: Side, stream: int) -> None:
        if side is self.pair.node and stream not in side.headed:
            side.head(stream)

    @precondition(lambda self: len(self.pair.console.live) < 5)
    @rule(size=sizes)
    def open(self, size: int) -> None:
        console = self.pair.console
        console.send(console.open(), size)

    @rule(side=sides, at=places, size=sizes, is_last=rarely)
    def send(self, side: int, at: int, size: int, is_last: bool) -> None:
        end = self.pair.sides[side]
        if (stream := self.pick(self.writable(end), at)) is not None:
            self.answer(end, stream)
            end.send(stream, size)
            if is_last:
                end.end(stream)

    @rule(side=sides, at=places, is_meant=rarely)
    def reset(self, side: int, at: int, is_meant: bool) -> None:
        end = self.pair.sides[side]
        if is_meant and (stream := self.pick(end.live, at)) is not None:
            end.reset(stream)

    @rule(side=sides, at=places, count=sizes)
    def consume(self, side: int, at: int, count: int) -> None:
        end = self.pair.sides[side]
        if (stream := self.pick(list(end.heard), at)) is not None:
            end.consume(stream, count)

    @precondition(lambda self: self.is_linked)
    @rule(
        side=sides,
        budget=st.sampled_from([1, 60, 700, 40_000]),
        count=st.sampled_from([0, 1, 5, PLENTY]),
        is_read=st.booleans(),
    )
    def carry(self, side: int, budget: int, count: int, is_read: bool) -> None:
        """Send what the budget allows; all, some or nothing of what is under way arrives."""
        sender = self.pair.sides[side]
        sender.flush(budget)
        self.pair.deliver(sender, count)
        if is_read:
            reader = self.pair.other(sender)
            for stream in reader.heard:
                reader.consume(stream, PLENTY)

    @precondition(lambda self: self.is_linked)
    @rule(budget=st.sampled_from([700, 40_000]))
    def carry_both_ways(self, budget: int) -> None:
        for side in (0, 1):
            self.carry(side, budget, PLENTY, is_read=True)

    @precondition(lambda self: self.is_linked)
    @rule()
    def cut(self) -> None:
        self.pair.cut()
        self.is_linked = False

    @precondition(lambda self: not self.is_linked)
    @rule()
    def answer_lost_on_the_way(self) -> None:
        """The console settles, but its welcome never reaches the node."""
        console = self.pair.console
        console.lose(resume.settle(console.mux, resume.offer(self.pair.node.mux)).lost)

    @precondition(lambda self: not self.is_linked)
    @rule(at=st.integers(0, 20), is_reset=st.booleans())
    def resume(self, at: int, is_reset: bool) -> None:
        """Between its offer and the answer the node may lose interest in a stream."""
        console, node = self.pair.console, self.pair.node
        offered = resume.offer(node.mux)
        if is_reset and (stream := self.pick(node.live, at)) is not None:
            node.reset(stream)
        settled = resume.settle(console.mux, offered)
        console.lose(settled.lost)
        node.lose(resume.settle(node.mux, settled.resumed).lost)
        self.is_linked = True

    @invariant()
    def what_is_kept_and_sent_stays_within_the_window(self) -> None:
        for side in self.pair.sides:
            for state in side.mux._streams.values():
                sending, receiving = state.sending, state.receiving
                kept = sum(window.units(frame) for frame in sending.kept)
                assert kept <= WINDOW + 3
                assert kept == sending.sent - sending.acked
                assert sending.sent <= sending.limit + 3
                assert receiving.consumed <= receiving.received <= receiving.limit + 3
                queued = (len(f.data) for f in sending.queue if isinstance(f, Data))
                assert sending.queued_bytes == sum(queued)

    def teardown(self) -> None:
        if not self.is_linked:
            self.pair.resume()
        self.pair.finish()


TestLossyLine = LossyLine.TestCase
TestLossyLine.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


def walk(machine: LossyLine, random: Random, steps: int) -> None:  # noqa: C901 (a table)
    """A long life of one session; the machine above finds short ones, and shrinks them."""
    for _ in range(steps):
        side, at, size = random.randrange(2), random.randrange(20), random.choice((7, 300, 2500))
        match random.choices(range(8), (3, 12, 1, 8, 20, 12, 3, 6))[0]:
            case 0 if len(machine.pair.console.live) < 5:
                machine.open(size)
            case 1:
                machine.send(side, at, size, random.random() < 0.1)
            case 2:
                machine.reset(side, at, random.random() < 0.5)
            case 3:
                machine.consume(side, at, size)
            case 4 if machine.is_linked:
                count = random.choice((0, 1, 5, PLENTY))
                machine.carry(side, random.choice((1, 700, 40_000)), count, size < 300)
            case 5 if machine.is_linked:
                machine.carry_both_ways(40_000)
            case 6 if machine.is_linked:
                machine.cut()
            case 6:
                machine.answer_lost_on_the_way()
            case 7 if not machine.is_linked:
                machine.resume(at, random.random() < 0.1)
        machine.what_is_kept_and_sent_stays_within_the_window()
    machine.teardown()


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
def test_streams_stay_whole_over_a_long_walk(seed):
    walk(LossyLine(), Random(seed), 250)


def exchange() -> Pair:
    """A request of 7 bytes and an answer of 9, every byte a frame of its own."""
    pair = Pair(window=12)
    stream = pair.console.open()
    pair.console.flush()
    for _ in range(7):
        pair.console.send(stream, 1)
        pair.console.flush()
    pair.console.end(stream)
    pair.console.flush()
    return pair


def answer(pair: Pair, step: int) -> None:
    """The node's application takes one more step, if it has heard of the stream."""
    node = pair.node
    if 1 not in node.live or 1 in node.half_closed:
        return
    if 1 not in node.headed:
        node.head(1)
    elif step < 10:
        node.send(1, 1)
    elif 1 in node.ended:
        node.end(1)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("pattern", ["CN", "CCCN", "CNNN", "CCCCCCCCCN", "C"])
def test_an_exchange_survives_a_cut_at_every_offset(pattern, times):
    for cut_at in range(60):
        pair = exchange()
        for step in range(60):
            if cut_at <= step < cut_at + times:
                pair.cut()
                pair.resume()
            side = pair.console if pattern[step % len(pattern)] == "C" else pair.node
            pair.deliver(side, 1)
            answer(pair, step)
            pair.node.consume(1, 1) if 1 in pair.node.heard else None
            pair.console.consume(1, 1)
            for end in pair.sides:
                end.flush(1)
        pair.finish()
        assert pair.console.over[1] in {"complete", "lost"}
        if cut_at > 0:
            assert pair.console.over[1] == "complete"
            assert pair.node.heard[1] == 7
            assert pair.console.heard[1] == pair.node.sent[1] > 0


@pytest.mark.parametrize("piece", [1, 3, 7, 50])
def test_a_sender_goes_back_to_any_offset_between_the_acknowledged_and_the_sent(piece):
    for acked in range(1, 52):
        for received in range(acked, 53):
            console = Side(opens=True)
            stream = console.open()
            console.flush()
            for start in range(0, 50, piece):
                console.send(stream, min(piece, 50 - start))
                console.flush()
            console.end(stream)
            console.flush()
            console.mux.receive(Window(stream, acked, acked + WINDOW))
            console.mux.rewind(stream, received)
            _, *again = console.mux.take(PLENTY)
            body = b"".join(frame.data for frame in again if isinstance(frame, Data))
            assert body == content(stream, 0, 50)[received - 1 :]
            assert isinstance(again[-1], End) == (received < 52) if again else received == 52


@pytest.mark.parametrize("received", [0, 3, 53])
def test_an_offset_that_cannot_be_is_refused(received):
    console = Side(opens=True)
    stream = console.open()
    console.send(stream, 50)
    console.flush()
    console.mux.receive(Window(stream, 4, WINDOW))
    with pytest.raises(ProtocolViolation):
        console.mux.check_offset(stream, received)
    with pytest.raises(ProtocolViolation):
        console.mux.rewind(stream, received)
    console.mux.check_offset(stream + 1, received)


def opened(window: int = WINDOW) -> tuple[Pair, int]:
    pair = Pair(window)
    stream = pair.console.open()
    pair.settle_down()
    return pair, stream


def test_only_the_console_opens():
    with pytest.raises(RuntimeError):
        Mux(opens=False).open(b"{}")
    with pytest.raises(ProtocolViolation, match="OPEN from a node"):
        Mux(opens=True).receive(Open(1, b"{}"))


def test_ids_rise_and_run_out():
    console = Mux(opens=True)
    assert [console.open(b"") for _ in range(3)] == [1, 2, 3]
    console._newest = STREAM_ID_LIMIT - 1
    assert not console.is_exhausted
    assert console.open(b"") == STREAM_ID_LIMIT
    assert console.is_exhausted
    with pytest.raises(OverflowError):
        console.open(b"")


@pytest.mark.parametrize("stream", [0, 1, 5, STREAM_ID_LIMIT + 1])
def test_a_stream_opened_out_of_order_is_a_violation(stream):
    node = Mux(opens=False)
    node.receive(Open(5, b"{}"))
    with pytest.raises(ProtocolViolation, match="out of order"):
        node.receive(Open(stream, b"{}"))


@pytest.mark.parametrize(
    "frame", [Data(6, b"x"), End(6), Reset(6, 0), Window(6, 0, 0), Data(0, b"")]
)
def test_a_frame_for_a_stream_never_opened_is_a_violation(frame):
    node = Mux(opens=False)
    node.receive(Open(5, b"{}"))
    with pytest.raises(ProtocolViolation, match="never opened"):
        node.receive(frame)


def test_a_frame_that_crossed_a_reset_is_ignored():
    node = Mux(opens=False)
    node.receive(Open(5, b"{}"))
    node.reset(5, ResetCode.REFUSED)
    for frame in (Data(5, b"x"), End(5), Reset(5, 0), Window(5, 0, 0), Data(3, b"x")):
        assert node.receive(frame) is None


@pytest.mark.parametrize(
    ("first", "frame", "words"),
    [
        (None, Data(1, b"x"), "DATA before HEAD"),
        (None, End(1), "END before HEAD"),
        (Head(1, b""), Head(1, b""), "second head"),
        (Head(1, b""), Data(1, bytes(WINDOW)), "beyond the credit"),
        (None, Window(1, 1, WINDOW + 2), "larger than agreed"),
        (None, Window(1, 2, WINDOW), "offset 2"),
    ],
)
def test_a_node_that_breaks_the_order_or_the_credit_is_a_violation(first, frame, words):
    console = Mux(opens=True, window=WINDOW)
    console.open(b"{}")
    console.take(PLENTY)
    if first is not None:
        console.receive(first)
    with pytest.raises(ProtocolViolation, match=words):
        console.receive(frame)


def test_what_was_refused_does_not_count_as_received():
    console = Mux(opens=True, window=WINDOW)
    console.open(b"{}")
    console.receive(Head(1, b""))
    with pytest.raises(ProtocolViolation):
        console.receive(Data(1, bytes(WINDOW)))
    assert console.received(1) == 1


def test_nothing_follows_an_end_and_no_head_comes_from_a_console():
    node = Mux(opens=False)
    node.receive(Open(1, b"{}"))
    with pytest.raises(ProtocolViolation, match="HEAD from the console"):
        node.receive(Head(1, b""))
    node.receive(End(1))
    for frame in (Data(1, b"x"), End(1)):
        with pytest.raises(ProtocolViolation, match="after its END"):
            node.receive(frame)


def test_a_reader_that_does_not_consume_stops_its_sender_at_the_window():
    pair, stream = opened()
    pair.console.send(stream, 3 * WINDOW)
    for _ in range(10):
        pair.console.flush()
        pair.deliver(pair.console)
    assert pair.node.heard[stream] == WINDOW - 1  # OPEN took one unit
    assert not pair.console.mux.has_frames
    assert not pair.node.mux.consumed(stream, WINDOW // 2 - 2)
    assert pair.node.mux.consumed(stream, 1)
    pair.node.flush()
    pair.deliver(pair.node)
    pair.console.flush()
    pair.deliver(pair.console)
    assert pair.node.heard[stream] == WINDOW - 1 + WINDOW // 2


def test_more_cannot_be_consumed_than_has_come():
    pair, stream = opened()
    pair.node.mux.consumed(stream, PLENTY)
    pair.node.flush()
    assert not pair.node.line
    assert not pair.node.mux.consumed(stream + 1, 1)


def test_several_windows_of_one_stream_leave_as_one():
    pair, stream = opened()
    pair.console.send(stream, WINDOW - 1)
    pair.console.flush()
    pair.deliver(pair.console)
    assert pair.node.mux.consumed(stream, WINDOW // 2)
    pair.console.mux.receive(Window(stream, WINDOW, WINDOW + WINDOW // 2))
    pair.console.send(stream, WINDOW // 2)
    pair.console.flush()
    pair.deliver(pair.console)
    assert pair.node.mux.consumed(stream, WINDOW // 2)
    assert pair.node.mux.take(PLENTY) == [Window(stream, WINDOW + WINDOW // 2, 2 * WINDOW + 1)]


def test_a_window_from_before_does_no_harm():
    pair, stream = opened()
    pair.console.send(stream, 500)
    pair.console.flush()
    for due in (Window(stream, 400, 1400), Window(stream, 100, 1100), Window(stream, 400, 1400)):
        assert pair.console.mux.receive(due) is None
    state = pair.console.mux._streams[stream].sending
    assert (state.acked, state.limit) == (400, 1400)


def test_small_pieces_of_one_stream_travel_as_one_frame_up_to_its_limit():
    pair, stream = opened(window=1 << 20)
    for _ in range(100):
        pair.console.send(stream, 400)
    frames = pair.console.mux.take(PLENTY)
    assert [len(frame.data) for frame in frames] == [16_000, 16_000, 8_000]


def test_a_large_body_is_cut_into_frames():
    pair, stream = opened(window=1 << 20)
    pair.console.send(stream, 2 * DATA_LIMIT_BYTES + 1)
    sizes = [len(frame.data) for frame in pair.console.mux.take(PLENTY)]
    assert sizes == [DATA_LIMIT_BYTES, DATA_LIMIT_BYTES, 1]


def test_the_pieces_of_a_websocket_s_message_know_that_more_follows():
    pair, stream = opened(window=20_000)
    console = pair.console.mux
    console.send(stream, bytes(30_000), DataFlag.BINARY)
    console.send(stream, b"a", DataFlag.TEXT)
    console.send(stream, b"b", DataFlag.TEXT)
    more = DataFlag.BINARY | DataFlag.MORE
    sent = console.take(PLENTY)
    assert [(len(f.data), f.flags) for f in sent] == [(DATA_LIMIT_BYTES, more), (3615, more)]
    console.receive(Window(stream, 20_000, 40_000))
    rest = console.take(PLENTY)
    assert [(len(f.data), f.flags) for f in rest] == [
        (30_000 - DATA_LIMIT_BYTES - 3615, DataFlag.BINARY),
        (1, DataFlag.TEXT),
        (1, DataFlag.TEXT),
    ]


def test_a_budget_is_overshot_by_one_frame_at_most():
    pair, stream = opened(window=1 << 20)
    pair.console.send(stream, 10 * DATA_LIMIT_BYTES)
    assert len(pair.console.mux.take(DATA_LIMIT_BYTES + 11)) == 2
    assert len(pair.console.mux.take(DATA_LIMIT_BYTES)) == 1


def test_windows_and_resets_leave_within_the_budget_and_before_all_else():
    node = Mux(opens=False, window=WINDOW)
    for stream in range(1, 9):
        node.receive(Open(stream, b""))
        node.head(stream, b"")
    for stream in (1, 2, 3):
        node.receive(End(stream))
        node.reset(stream + 3, ResetCode.REFUSED, "no room")
    first, second, third = node.take(60), node.take(1), node.take(40)
    assert [type(frame) for frame in (*first, *second, *third)] == [Reset] * 3 + [Window] * 2
    rest = [type(frame) for frame in node.take(PLENTY)]
    assert rest == [Window] + [Head] * 5


def test_a_window_that_is_due_is_dropped_with_its_stream():
    node = Mux(opens=False)
    node.receive(Open(1, b""))
    node.receive(End(1))
    node.reset(1, ResetCode.ENGINE_ERROR)
    assert node.take(PLENTY) == [Reset(1, ResetCode.ENGINE_ERROR)]


def test_a_stream_with_much_to_send_does_not_starve_another():
    console = Mux(opens=True, window=1 << 24)
    streams = [console.open(b"") for _ in range(8)]
    console.take(PLENTY)
    for stream in streams:
        console.send(stream, bytes(64 * DATA_LIMIT_BYTES if stream == 1 else 3 * DATA_LIMIT_BYTES))
    turns = []
    while frames := console.take(1):
        turns.extend(frame.stream for frame in frames)
    for stream in streams[1:]:
        places = [place for place, name in enumerate(turns) if name == stream]
        assert all(later - earlier <= len(streams) for earlier, later in pairwise(places))
    late = console.open(b"")
    console.send(late, b"x")
    assert turns.count(1) == 64


def test_a_late_stream_waits_for_one_turn_of_the_others_only():
    console = Mux(opens=True, window=1 << 24)
    for _ in range(4):
        console.send(console.open(b""), bytes(1 << 20))
    console.take(400_000)
    late = console.open(b"")
    console.send(late, b"x")
    assert late in {frame.stream for frame in console.take(5 * (DATA_LIMIT_BYTES + 10))}


def test_send_asks_to_wait_and_says_when_to_go_on():
    pair, stream = opened(window=1 << 20)
    console = pair.console.mux
    assert console.send(stream, bytes(QUEUE_HIGH_BYTES - 1))
    assert not console.send(stream, b"x")
    assert not console.take_allowed()
    console.take(QUEUE_HIGH_BYTES - QUEUE_LOW_BYTES - DATA_LIMIT_BYTES)
    assert not console.take_allowed()
    console.take(DATA_LIMIT_BYTES)
    assert console.take_allowed() == [stream]
    assert not console.take_allowed()


def test_sending_to_a_stream_that_is_over_is_ignored():
    pair, stream = opened()
    console = pair.console.mux
    assert console.send(stream, b"")
    console.end(stream)
    console.end(stream)
    assert console.send(stream, bytes(1 << 20))
    assert [type(frame) for frame in console.take(PLENTY)] == [End]
    console.reset(stream, ResetCode.CANCELLED)
    console.reset(stream, ResetCode.CANCELLED)
    console.end(stream)
    assert console.send(stream, bytes(1 << 20))
    assert [type(frame) for frame in console.take(PLENTY)] == [Reset]
    assert not console.is_open(stream)


def test_a_reset_reaches_the_other_side_ahead_of_a_full_queue():
    pair, stream = opened()
    pair.node.head(stream)
    pair.node.send(stream, 100 * WINDOW)
    pair.node.flush()
    pair.console.reset(stream)
    pair.console.flush()
    pair.deliver(pair.console)
    assert pair.node.over[stream] == "reset"
    pair.deliver(pair.node)
    assert not pair.node.mux.take(PLENTY)


def test_a_stream_cut_before_it_was_sent_never_existed_for_the_node():
    pair = Pair()
    gone, kept = pair.console.open(), pair.console.open()
    pair.console.reset(gone)
    pair.settle_down()
    assert list(pair.node.heard) == [kept]
    pair.console.reset(kept)
    pair.finish()


def test_a_stream_cut_while_its_open_was_lost_does_no_harm_over_the_next_link():
    pair = Pair()
    stream = pair.console.open()
    pair.console.flush()
    pair.cut()
    pair.console.reset(stream)
    pair.resume()
    pair.finish()
    assert not pair.node.heard


def test_an_answer_before_the_request_s_end_lets_go_of_the_request():
    pair, stream = opened()
    pair.console.send(stream, 5 * WINDOW)
    pair.node.head(stream)
    pair.node.end(stream)
    pair.node.flush()
    pair.deliver(pair.node)
    pair.console.flush()
    assert pair.console.line[-1] == Reset(stream, ResetCode.NO_ERROR)
    pair.deliver(pair.console)
    assert stream not in pair.node.over  # it knows that its answer is complete
    pair.finish()


def test_a_node_that_has_not_ended_hears_that_the_rest_is_not_wanted():
    pair, stream = opened()
    event = pair.node.mux.receive(Reset(stream, ResetCode.NO_ERROR))
    assert event == ResetReceived(stream, ResetCode.NO_ERROR, "")


def test_a_letting_go_that_overtakes_its_window_is_not_news():
    pair, stream = opened()
    pair.node.head(stream)
    pair.node.end(stream)
    pair.node.flush()
    assert pair.node.mux.receive(Reset(stream, ResetCode.NO_ERROR)) is None
    assert not pair.node.mux.is_open(stream)


def test_a_node_cannot_drop_a_stream_without_the_console_hearing_of_it():
    console = Mux(opens=True)
    stream = console.open(b"")
    console.end(stream)
    console.take(PLENTY)
    event = console.receive(Reset(stream, ResetCode.NO_ERROR, ""))
    assert event == ResetReceived(stream, ResetCode.NO_ERROR, "")


def test_a_node_s_reset_after_its_end_does_not_cut_the_answer():
    pair, stream = opened()
    pair.console.end(stream)
    pair.node.head(stream)
    pair.node.send(stream, 3 * WINDOW)
    pair.node.end(stream)
    pair.node.reset(stream)
    pair.finish()
    assert pair.console.over[stream] == "complete"
    assert pair.console.heard[stream] == 3 * WINDOW


def test_a_lost_link_voids_what_was_urgent_and_keeps_the_rest():
    pair, stream = opened()
    pair.node.mux.receive(End(stream))
    pair.node.head(stream)
    pair.node.mux.disconnect()
    assert [type(frame) for frame in pair.node.mux.take(PLENTY)] == [Head]


def test_a_forgotten_stream_sends_nothing():
    pair, stream = opened()
    pair.console.send(stream, 10)
    pair.console.mux.forget(stream)
    pair.console.mux.forget(stream)
    assert pair.console.mux.take(PLENTY) == []
    assert not list(pair.console.mux.streams)


def test_credit_used_up_by_a_resume_stops_a_stream_that_was_ready():
    """After a rewind the queue begins with what was sent; nothing may go beyond the old limit."""
    pair, stream = opened()
    pair.console.send(stream, WINDOW + 10)
    pair.console.flush()
    pair.console.line.clear()
    pair.console.mux.disconnect()
    pair.console.mux.rewind(stream, 1)
    sent = sum(len(f.data) for f in pair.console.mux.take(PLENTY) if isinstance(f, Data))
    assert sent == WINDOW - 1
    pair.console.mux._make_ready(stream, pair.console.mux._streams[stream])
    assert not pair.console.mux.has_frames


def test_a_console_that_opens_too_many_streams_is_refused_them():
    node = Mux(opens=False)
    for stream in range(1, STREAMS_LIMIT + 1):
        assert node.receive(Open(stream, b""))
    assert node.receive(Open(STREAMS_LIMIT + 1, b"")) is None
    assert node.take(PLENTY) == [Reset(STREAMS_LIMIT + 1, ResetCode.REFUSED, "too many streams")]
    assert len(list(node.streams)) == STREAMS_LIMIT


def test_a_console_that_opens_and_never_reads_is_a_violation():
    node = Mux(opens=False)
    for stream in range(1, URGENT_LIMIT + 1):
        node.receive(Open(stream, b""))
        node.reset(stream, ResetCode.REFUSED)
    with pytest.raises(ProtocolViolation, match="not read"):
        node.receive(Open(URGENT_LIMIT + 1, b""))
    assert len(node.take(PLENTY)) == URGENT_LIMIT


few = st.integers(0, 6)
near = st.integers(0, 2 * WINDOW)
hostile_frames = st.one_of(
    st.builds(Open, few, st.binary(max_size=4)),
    st.builds(Head, few, st.binary(max_size=4)),
    st.builds(Data, few, st.binary(max_size=600), st.integers(0, 7)),
    st.builds(End, few, st.binary(max_size=4)),
    st.builds(Reset, few, st.integers(0, 9), st.text(max_size=4)),
    st.builds(Window, few, near | st.integers(0, 2**64 - 1), near | st.integers(0, 2**64 - 1)),
)


def go_on(side: Mux, event, action: int) -> None:
    """What an application might do next."""
    if isinstance(event, StreamOpened):
        side.head(event.stream, b"{}")
        side.send(event.stream, bytes(WINDOW * 2))
    elif isinstance(event, DataReceived) and action % 2:
        side.consumed(event.stream, len(event.data))
    elif event is not None and action == 4:
        side.reset(event.stream, ResetCode.INTERNAL)
    elif event is not None and action == 6:
        side.end(event.stream)
    if action < 3:
        side.take(action * WINDOW)


@settings(max_examples=300, deadline=None)
@given(st.booleans(), st.lists(st.tuples(hostile_frames, st.integers(0, 9)), max_size=60))
def test_a_hostile_peer_gets_a_violation_and_nothing_else(opens, steps):
    side = Mux(opens=opens, window=WINDOW)
    if opens:
        for _ in range(3):
            side.send(side.open(b"{}"), bytes(WINDOW * 3))
    for frame, action in steps:
        try:
            event = side.receive(frame)
        except ProtocolViolation:
            break
        go_on(side, event, action)
    for state in side._streams.values():
        assert sum(window.units(frame) for frame in state.sending.kept) <= WINDOW + 3
        assert state.receiving.received <= state.receiving.limit + 3
    assert len(side._streams) <= 6
    assert len(side._urgent) <= 2 * len(steps)
    assert len(side._windows) <= 6


def test_only_a_stream_that_has_something_to_say_counts_as_ready():
    pair, stream = opened()
    pair.console.flush()
    assert not pair.console.mux.has_ready
    pair.console.send(stream, 10)
    assert pair.console.mux.has_ready
