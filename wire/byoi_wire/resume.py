"""What becomes of a session's streams when a new link takes the place of a lost one.

The node names what it has of every stream; the console answers with what it has of those that both
know. Both send again from the other's offset. A stream that only the node names is over for the
console: the node cancels it. One that only the console knows is lost; where its client has not seen
anything yet the gateway asks again as the next attempt, which may well land on the same node.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from byoi_wire.messages import StreamOffset
from byoi_wire.version import RESUME_STREAMS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from byoi_wire.ids import StreamId
    from byoi_wire.mux import Mux


class Agreement(NamedTuple):
    """What goes on, and what does not."""

    resumed: tuple[StreamOffset, ...]
    lost: tuple[StreamId, ...]


def offer(mux: Mux) -> tuple[StreamOffset, ...]:
    """What this side has of its streams, the oldest first; more than fit are given up."""
    streams = islice(mux.streams, RESUME_STREAMS_LIMIT)
    return tuple(StreamOffset(stream=s, received=mux.received(s)) for s in streams)


def settle(mux: Mux, peer: Iterable[StreamOffset]) -> Agreement:
    """Go on with the streams that the peer names too, forget the rest.

    Both sides call this: the console with the node's offer, the node with the console's answer.

    Raises:
        ProtocolViolation: the peer claims an offset that cannot be; nothing has changed then.
    """
    named = {offset.stream: offset.received for offset in peer}
    for stream, received in named.items():
        mux.check_offset(stream, received)
    if mux.opens:
        mux.disconnect()  # resets from before this answer: the answer itself tells them
    resumed: list[StreamOffset] = []
    lost: list[StreamId] = []
    for stream in tuple(mux.streams):
        if stream in named:
            resumed.append(StreamOffset(stream=stream, received=mux.received(stream)))
            mux.rewind(stream, named[stream])
        else:
            mux.forget(stream)
            lost.append(stream)
    return Agreement(tuple(resumed), tuple(lost))
