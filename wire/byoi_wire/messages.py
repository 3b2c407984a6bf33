"""Everything that crosses the link: control messages (JSON text) and frames (binary).

Unknown control types and unknown fields are ignored, so that either side can be upgraded first.
Frames are named tuples rather than dataclasses: one is made per chunk per process, and a tuple
costs a third of a frozen dataclass.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from byoi_wire.errors import RejectCode
from byoi_wire.ids import (
    InstanceId,
    KeyId,
    ModelId,
    NodeId,
    OrgId,
    PinId,
    RequestId,
    SessionId,
    StreamId,
)
from byoi_wire.offers import Device, Host, ModelOffer
from byoi_wire.usage import Count, SignedRecord, Usage


class FrameType(IntEnum):
    """First byte of a frame."""

    OPEN = 1
    HEAD = 2
    DATA = 3
    END = 4
    RESET = 5
    WINDOW = 6


class DataFlag(IntFlag):
    """Flags of a DATA frame; only a stream that carries a websocket sets them."""

    NONE = 0
    TEXT = 1
    BINARY = 2
    MORE = 4


class ResetCode(IntEnum):
    """Why a stream was cut short, told apart by what the other side should do."""

    NO_ERROR = 0
    """The rest is not wanted; nothing went wrong."""
    CANCELLED = 1
    """The client left."""
    REFUSED = 2
    """Never started here (draining, over capacity, engine not ready): try another node."""
    ENGINE_ERROR = 3
    """The engine died or broke its protocol."""
    TIMED_OUT = 4
    """The engine was silent for too long, or the deadline passed."""
    LOST = 5
    """The link is gone and will not resume (never sent, only reported locally)."""
    INTERNAL = 6
    """A fault of our own at the sender."""
    HANDED_BACK = 7
    """The machine is its owner's again: go on at another node."""


class Open(NamedTuple):
    """Console → node: a request begins; `head` is an `OpenHead` as JSON."""

    stream: StreamId
    head: bytes


class Head(NamedTuple):
    """Node → console: the answer's status and headers; `head` is an `AnswerHead` as JSON."""

    stream: StreamId
    head: bytes


class Data(NamedTuple):
    """A piece of the body, in either direction."""

    stream: StreamId
    data: bytes
    flags: int = 0


class End(NamedTuple):
    """The sender's half is complete; from a node with a `Trailer` as JSON."""

    stream: StreamId
    trailer: bytes = b""


class Reset(NamedTuple):
    """Both halves end at once."""

    stream: StreamId
    code: int
    reason: str = ""


class Window(NamedTuple):
    """All before `received` has arrived; the peer may send up to `limit` (absolute offsets)."""

    stream: StreamId
    received: int
    limit: int


Frame = Open | Head | Data | End | Reset | Window


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class OpenHead(_Message):
    """What a node must know of a request before its body comes.

    `ticket` is opaque to the node and goes back with the usage record. `tenant` is a salt that
    keeps two organisations' prompts apart in the engine's prefix cache. `deadline_seconds` is the
    time left from now. `org_id` is the organisation that asks; a console of before pins says none.
    """

    request_id: RequestId
    attempt: int = Field(ge=1)
    ticket: str
    tenant: str
    org_id: OrgId | None = None
    method: Literal["POST"] = "POST"
    path: str
    model: ModelId
    deadline_seconds: float
    body_bytes: Count
    headers: dict[str, str] = {}
    websocket: bool = False
    subprotocols: tuple[str, ...] = ()


class AnswerHead(_Message):
    """The node's answer begins: an HTTP status and the few headers that may pass."""

    status: int = Field(ge=100, le=599)
    headers: dict[str, str] = {}
    queued_ms: float | None = None


class Trailer(_Message):
    """What the node knows at the end of an answer."""

    usage: Usage = Usage()
    finish_reason: str | None = None
    first_token_ms: float | None = None
    duration_ms: float | None = None


class Challenge(_Message):
    """Console → node, first of all: who I am, and prove who you are."""

    type: Literal["challenge"] = "challenge"
    nonce: str
    origin: str
    console_key_id: KeyId
    signature: str
    server_time_ms: int
    versions: tuple[str, ...]


class StreamOffset(_Message):
    """How much of one stream's incoming half has arrived."""

    stream: StreamId
    received: Count


class ResumeOffer(_Message):
    """The session that the node would like to go on with."""

    session_id: SessionId
    streams: tuple[StreamOffset, ...] = ()


class Hello(_Message):
    """Node → console: the proof, and what I would like to go on with."""

    type: Literal["hello"] = "hello"
    node_id: NodeId
    key_id: KeyId
    nonce: str
    signature: str
    instance_id: InstanceId
    version: str
    agent: str = ""
    resume: ResumeOffer | None = None


class Limits(_Message):
    """What a console grants a node for this session."""

    window_bytes: int
    data_bytes: int
    message_bytes: int


class Welcome(_Message):
    """Console → node: the session is on; `resumed` names the streams that go on."""

    type: Literal["welcome"] = "welcome"
    session_id: SessionId
    epoch: int
    resumed: tuple[StreamOffset, ...] | None = None
    limits: Limits
    lease_seconds: float
    renew_seconds: float
    grace_seconds: float


class Reject(_Message):
    """Console → node instead of welcome; the code says what to do next."""

    type: Literal["reject"] = "reject"
    code: RejectCode
    message: str
    retry_after_ms: Count | None = None


GoawayReason = Literal["replaced", "revoked", "restart", "drain", "stream_ids", "protocol_error"]


class Goaway(_Message):
    """Console → node: no new streams here; go where and when this says."""

    type: Literal["goaway"] = "goaway"
    reason: GoawayReason
    reconnect_in_ms: Count = 0
    try_for_ms: Count = 0


class RotateKey(_Message):
    """Console → node: make yourself a new key, have the old one sign it, come back with it."""

    type: Literal["rotate_key"] = "rotate_key"
    reason: str = ""


class Draining(_Message):
    """Node → console: send nothing new; what runs ends within the deadline."""

    type: Literal["draining"] = "draining"
    deadline_seconds: float


class Advertise(_Message):
    """Node → console: all that it offers; each one replaces the one before.

    `slots` requests run there at once, of all loaded models together; where none is loaded, of the
    one that takes most. For each model, together with its adapters, `queue` more may wait.
    """

    type: Literal["advertise"] = "advertise"
    version: int
    agent_version: str
    host: Host
    devices: tuple[Device, ...] = ()
    models: tuple[ModelOffer, ...] = ()
    slots: Count
    queue: Count = 0


class Status(_Message):
    """Node → console every few seconds and upon change."""

    type: Literal["status"] = "status"
    running: Count
    waiting: Count
    memory_used_bytes: tuple[int | None, ...] = ()
    temperatures_celsius: tuple[float | None, ...] = ()
    power_watts: tuple[float | None, ...] = ()


class Availability(_Message):
    """Node → console: whether it serves at all, and why not in the owner's words.

    `code` names the reason for programs, `mode` is what the owner chose, and `until_ms` (Unix) is
    when the node expects to serve again, where the clock alone decides that.
    """

    type: Literal["availability"] = "availability"
    serving: bool
    reason: str = ""
    code: str = ""
    mode: str = ""
    is_paused: bool = False
    until_ms: Count | None = None


class PinAsk(_Message):
    """Console → node, when asked and at each link: an organisation wants it for itself alone.

    It means nothing until the owner has said yes at the node.
    """

    type: Literal["pin.ask"] = "pin.ask"
    pin_id: PinId
    org_id: OrgId
    organisation: str
    reason: str = ""
    asked_by: str = ""
    asked_at_ms: Count


class PinEnd(_Message):
    """Console → node: the organisation does not want it any more."""

    type: Literal["pin.end"] = "pin.end"
    pin_id: PinId


PinAnswerState = Literal["asked", "granted", "refused", "withdrawn"]


class PinAnswer(_Message):
    """Node → console, upon each change, each ask, and at each link: what the owner says of a pin.

    `actor` is who said so at the node, `at_ms` when; `asked` is no answer yet.
    """

    type: Literal["pin.answer"] = "pin.answer"
    pin_id: PinId
    state: PinAnswerState
    actor: str = ""
    at_ms: Count


class Renew(_Message):
    """Node → console every `renew_seconds`: the lease goes on, also while draining."""

    type: Literal["renew"] = "renew"
    seq: int


class Ping(_Message):
    """Either way; answered by a pong of the same number at once."""

    type: Literal["ping"] = "ping"
    seq: int


class Pong(_Message):
    """Answer to a ping."""

    type: Literal["pong"] = "pong"
    seq: int


class UsageBatch(_Message):
    """Node → console: signed records, at least once."""

    type: Literal["usage.batch"] = "usage.batch"
    records: tuple[SignedRecord, ...]


class RecordName(_Message):
    """A record id as JSON."""

    request_id: RequestId
    attempt: int


class UsageAck(_Message):
    """Console → node: these are in the ledger (or refused for good); forget them."""

    type: Literal["usage.ack"] = "usage.ack"
    ids: tuple[RecordName, ...]


ControlMessage = (
    Challenge
    | Hello
    | Welcome
    | Reject
    | Goaway
    | RotateKey
    | Draining
    | Advertise
    | Status
    | Availability
    | PinAsk
    | PinEnd
    | PinAnswer
    | Renew
    | Ping
    | Pong
    | UsageBatch
    | UsageAck
)

CONTROL: TypeAdapter[Any] = TypeAdapter(Annotated[ControlMessage, Field(discriminator="type")])
"""Validates one control message; `codec.decode_control` is its only caller."""


class StreamOpened(NamedTuple):
    """The peer opened a stream."""

    stream: StreamId
    head: bytes


class HeadReceived(NamedTuple):
    """The answer's head came."""

    stream: StreamId
    head: bytes


DataReceived = Data
"""A piece of the body came, just as it was framed; `consumed` gives its credit back."""


class EndReceived(NamedTuple):
    """The peer's half is complete."""

    stream: StreamId
    trailer: bytes


class ResetReceived(NamedTuple):
    """The stream is over, both halves; nothing more comes or can be sent."""

    stream: StreamId
    code: int
    reason: str


Event = StreamOpened | HeadReceived | DataReceived | EndReceived | ResetReceived
