"""Names of things that cross the link; a bare `str` where one of these is meant is a fault."""

from __future__ import annotations

from typing import NamedTuple, NewType

NodeId = NewType("NodeId", str)
KeyId = NewType("KeyId", str)
OrgId = NewType("OrgId", str)
SessionId = NewType("SessionId", str)
InstanceId = NewType("InstanceId", str)
RequestId = NewType("RequestId", str)
StreamId = NewType("StreamId", int)
ModelId = NewType("ModelId", str)
PinId = NewType("PinId", str)


class RecordId(NamedTuple):
    """One attempt at one request: the key of usage records and of ledger rows."""

    request_id: RequestId
    attempt: int

    def __str__(self) -> str:
        return f"{self.request_id}/{self.attempt}"
