"""Messages of the Wayland protocol, as far as one that only asks for idle time needs them; pure.

A message is the object's number, the size and the number of the request or event, and the values,
each a multiple of four bytes, in the machine's own order.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = struct.Struct("=II")
_NUMBER: Final = struct.Struct("=I")


class NoMessage(ValueError):
    """What came cannot be of this protocol."""


class Message(NamedTuple):
    """One event of an object, with its values as they came."""

    sender: int
    event: int
    values: bytes


def request(target: int, number: int, *values: int | str) -> bytes:
    """A request to an object; texts end with a zero byte and are filled up."""
    body = b"".join(_packed(value) for value in values)
    return _HEAD.pack(target, (_HEAD.size + len(body)) << 16 | number) + body


def taken(received: bytearray) -> Iterator[Message]:
    """The whole messages of what has come, which are taken out of it.

    Raises:
        NoMessage: a size that cannot be.
    """
    while len(received) >= _HEAD.size:
        sender, sized = _HEAD.unpack_from(received)
        size = sized >> 16
        if size < _HEAD.size or size % _NUMBER.size:
            raise NoMessage(f"a message of {size} bytes")
        if len(received) < size:
            return
        message = Message(sender, sized & 0xFFFF, bytes(received[_HEAD.size : size]))
        del received[:size]
        yield message


def named(values: bytes) -> tuple[int, str]:
    """A number and a text: how the registry tells of a global object.

    Raises:
        NoMessage: the values end too soon.
    """
    try:
        (number, length) = struct.unpack_from("=II", values)
    except struct.error as error:
        raise NoMessage("a name without its length") from error
    text = values[_HEAD.size : _HEAD.size + length]
    if len(text) < length:
        raise NoMessage("a name that ends too soon")
    return number, text.rstrip(b"\0").decode(errors="replace")


def _packed(value: int | str) -> bytes:
    if isinstance(value, int):
        return _NUMBER.pack(value)
    text = value.encode() + b"\0"
    return _NUMBER.pack(len(text)) + text.ljust(-(-len(text) // 4) * 4, b"\0")
