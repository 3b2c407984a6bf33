"""Gives this machine's place at its console back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel

from byoi_agent.errors import IdentityError
from byoi_agent.identity.console_http import signed

if TYPE_CHECKING:
    from byoi_agent.identity.console_http import ConsoleHttp
    from byoi_agent.identity.keys import Identity

UNENROL_PATH: Final = "/agent/v1/unenroll"

_TAG: Final = b"byoi-unenrol-v1"
_UNKNOWN: Final = frozenset({401, 403, 404, 410})


class _Answer(BaseModel):
    unenrolled: Literal[True]


async def give_back(http: ConsoleHttp, identity: Identity, *, now_ms: int) -> None:
    """Have the console delete the node; it ends the session of a node that still runs.

    Raises:
        IdentityError: the console knows neither this node nor its key any more, or is none.
        LinkError: the console cannot be reached now.
    """
    at_ms = str(now_ms).encode()
    proof = signed(identity.key, _TAG, identity.origin.encode(), identity.node_id.encode(), at_ms)
    body = {
        "node_id": identity.node_id,
        "key_id": identity.key_id,
        "at_ms": now_ms,
        "signature": proof,
    }
    reply = await http.post(UNENROL_PATH, body)
    if reply.status in _UNKNOWN and reply.words is not None:
        raise IdentityError(
            f"the console refused: {reply.words}. If the node is not there any more, "
            "forget it here: byoi unenroll --force"
        )
    http.understand(reply, _Answer, "give this machine's place back")
