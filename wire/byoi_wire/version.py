"""The names and the limits that both ends of the link must agree on."""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = "byoi.v1"
SUPPORTED_VERSIONS: Final = (PROTOCOL_VERSION,)

WINDOW_BYTES: Final = 256 * 1024
"""Bytes of one stream that may be under way to a reader which has not yet asked for more."""

DATA_LIMIT_BYTES: Final = 16 * 1024
"""Largest payload of one DATA frame."""

MESSAGE_LIMIT_BYTES: Final = 64 * 1024
"""Largest websocket message; every other frame's payload fits into one message as well."""

WRITE_BUFFER_BYTES: Final = 128 * 1024
"""What may wait in the transport; more waits per stream in the mux."""

HANDSHAKE_LIMIT_BYTES: Final = 32 * 1024
"""Largest message before `welcome`: a hello that offers a thousand streams for resume fits."""

HANDSHAKE_SECONDS: Final = 10.0

STREAM_ID_LIMIT: Final = 2**31
"""At this stream id a console sends `goaway`; ids are never used again within a session."""

PING_BUSY_SECONDS: Final = 2.0
PING_IDLE_SECONDS: Final = 10.0
PINGS_MISSED: Final = 2
LEASE_SECONDS: Final = 40.0
RENEW_SECONDS: Final = 10.0
GRACE_SECONDS: Final = 15.0
"""How long a console waits for a broken link to resume before its streams are lost."""
