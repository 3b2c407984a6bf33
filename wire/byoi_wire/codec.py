"""Bytes ↔ frames, text ↔ control messages: where everything from the peer is first looked at.

A frame is `type:u8 flags:u8 stream:u32 length:u32`, big-endian, then its payload. A binary message
holds one or more whole frames; a frame never spans two messages.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from byoi_wire.errors import ProtocolViolation
from byoi_wire.messages import (
    CONTROL,
    ControlMessage,
    Data,
    End,
    Frame,
    FrameType,
    Head,
    Open,
    Reset,
    Window,
)
from byoi_wire.version import DATA_LIMIT_BYTES, MESSAGE_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from byoi_wire.ids import StreamId

HEADER_BYTES: Final = 10
HEAD_LIMIT_BYTES: Final = 16 * 1024
"""Largest JSON head or trailer in OPEN, HEAD and END."""

REASON_LIMIT_BYTES: Final = 512
_TOO_BIG: Final = 1009
_DATA: Final = int(FrameType.DATA)  # once per chunk, looking up an enum's member is felt

_header = struct.Struct(">BBII")
_window = struct.Struct(">QQ")
_code = struct.Struct(">H")


def encode(frames: Iterable[Frame]) -> bytes:
    """One message's bytes; the caller keeps it within `MESSAGE_LIMIT_BYTES`."""
    parts: list[bytes] = []
    for frame in frames:
        if isinstance(frame, Data):
            parts.append(_header.pack(_DATA, frame.flags, frame.stream, len(frame.data)))
            parts.append(frame.data)
        else:
            kind, payload = _payload(frame)
            parts.append(_header.pack(kind, 0, frame.stream, len(payload)))
            parts.append(payload)
    return b"".join(parts)


def _payload(frame: Open | Head | End | Reset | Window) -> tuple[int, bytes]:
    match frame:
        case Window():
            return FrameType.WINDOW, _window.pack(frame.received, frame.limit)
        case Open():
            return FrameType.OPEN, frame.head
        case Head():
            return FrameType.HEAD, frame.head
        case End():
            return FrameType.END, frame.trailer
        case _:
            reason = frame.reason.encode(errors="replace")[:REASON_LIMIT_BYTES]
            return FrameType.RESET, _code.pack(frame.code) + reason


def decode(message: bytes) -> list[Frame]:
    """The frames of one binary message.

    Raises:
        ProtocolViolation: a torn frame, an unknown type, or a size beyond its limit.
    """
    if len(message) > MESSAGE_LIMIT_BYTES:
        raise ProtocolViolation(f"message of {len(message)} bytes", _TOO_BIG)
    frames: list[Frame] = []
    position, end, unpack = 0, len(message), _header.unpack_from
    while position < end:
        if end - position < HEADER_BYTES:
            raise ProtocolViolation("torn frame header")
        kind, flags, stream, length = unpack(message, position)
        position += HEADER_BYTES
        payload = message[position : position + length]
        if len(payload) != length:
            raise ProtocolViolation("torn frame payload")
        position += length
        if kind == _DATA:
            if length > DATA_LIMIT_BYTES:
                raise ProtocolViolation(f"DATA of {length} bytes", _TOO_BIG)
            frames.append(Data(stream, payload, flags))
        else:
            frames.append(_frame(kind, stream, payload))
    return frames


def _frame(kind: int, stream: StreamId, payload: bytes) -> Frame:
    if kind == FrameType.WINDOW:
        if len(payload) != _window.size:
            raise ProtocolViolation(f"WINDOW of {len(payload)} bytes")
        return Window(stream, *_window.unpack(payload))
    if kind == FrameType.RESET:
        if len(payload) < _code.size:
            raise ProtocolViolation("RESET without a code")
        (code,) = _code.unpack_from(payload)
        reason = payload[_code.size :][:REASON_LIMIT_BYTES]
        return Reset(stream, code, reason.decode(errors="replace"))
    if len(payload) > HEAD_LIMIT_BYTES:
        raise ProtocolViolation(f"head of {len(payload)} bytes", _TOO_BIG)
    if kind == FrameType.OPEN:
        return Open(stream, payload)
    if kind == FrameType.HEAD:
        return Head(stream, payload)
    if kind == FrameType.END:
        return End(stream, payload)
    raise ProtocolViolation(f"unknown frame type {kind}")


def encode_control(message: ControlMessage) -> str:
    """A control message as the text that crosses the link."""
    return message.model_dump_json(exclude_none=True)


def decode_control(text: str) -> ControlMessage | None:
    """The control message in `text`; None for a type that this version does not know.

    Raises:
        ProtocolViolation: not JSON, no type, or a known type with impossible content.
    """
    if len(text) > MESSAGE_LIMIT_BYTES:
        raise ProtocolViolation(f"control message of {len(text)} characters", _TOO_BIG)
    try:
        message: ControlMessage = CONTROL.validate_json(text)
    except ValidationError as error:
        kinds = {detail["type"] for detail in error.errors(include_url=False, include_input=False)}
        if kinds == {"union_tag_invalid"}:
            return None
        raise ProtocolViolation(f"malformed control message: {_summary(error)}") from error
    return message


def _summary(error: ValidationError) -> str:
    """Where it went wrong, without the peer's text in it."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    first = details[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'message'}: {first['type']}"
