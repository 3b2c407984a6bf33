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

HANDSHAKE_LIMIT_BYTES: Final = 64 * 1024
"""Largest message before `welcome`: a hello that offers `RESUME_STREAMS_LIMIT` streams fits."""

HANDSHAKE_SECONDS: Final = 10.0

STREAMS_LIMIT: Final = 4096
"""Streams of one session at a time; a node refuses what a console opens beyond them."""

RESUME_STREAMS_LIMIT: Final = 1024
"""Streams that may go on over a new link: what both hellos and welcomes have room for."""

MODELS_LIMIT: Final = 256
"""Models that a node may advertise; a console closes the link of one that names more."""

MODELS_LIMIT_BYTES: Final = 40 * 1024
"""All of them together as JSON, so that an advertisement stays within a message."""

STREAM_ID_LIMIT: Final = 2**31
"""At this stream id a console sends `goaway`; ids are never used again within a session."""

PING_BUSY_SECONDS: Final = 2.0
PING_BUSY_ANSWER_SECONDS: Final = 1.4
"""How long an answer is awaited: a dead peer is found out within 2.0 + 2 x 1.4 s of its last word,
below the 5 s that a stream may hang; of an idle one within 19 s."""

PING_IDLE_SECONDS: Final = 10.0
PING_IDLE_ANSWER_SECONDS: Final = 4.5
PINGS_MISSED: Final = 2
LEASE_SECONDS: Final = 40.0
RENEW_SECONDS: Final = 10.0
GRACE_SECONDS: Final = 15.0
"""How long a console waits for a broken link to resume before its streams are lost."""
