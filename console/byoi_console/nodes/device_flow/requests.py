"""What machines and people send in the device flow, and what they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from byoi_console.nodes.membership import MACHINE_PATTERN, HostFacts, Mode, Readable, Visibility

if TYPE_CHECKING:
    from byoi_wire.ids import NodeId, OrgId


class DeviceRequest(BaseModel):
    """The body of `POST /agent/v1/device`.

    `proof` is the base64 Ed25519 signature over `byoi-device-v1`, a zero byte and the raw public
    key. `machine` is the HMAC-SHA256, under the machine's id, of `byoi-machine-v1`, a zero byte and
    the console's origin, as hex.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    public_key: str = Field(max_length=64)
    proof: str = Field(max_length=128)
    host: HostFacts = HostFacts()
    machine: str | None = Field(default=None, pattern=MACHINE_PATTERN)


class GrantRequest(BaseModel):
    """The body of `POST /agent/v1/token` with a device code; its proof is a join token's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    device_code: str = Field(max_length=256)
    public_key: str = Field(max_length=64)
    proof: str = Field(max_length=128)


class DeviceAuthorization(BaseModel):
    """RFC 8628 section 3.2: what the machine shows its owner, and how often it may ask."""

    model_config = ConfigDict(frozen=True)

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class Approval(BaseModel):
    """What a person chooses for a device; `take_over` names the node that it goes on as.

    What is left out is as it was of a node that is taken over; for a new one it is the person's
    first organisation, seen by that alone, and always on. The node heeds `mode` until its owner
    chooses another; `visibility` is kept with it, but this version serves its organisation only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    organisation: str | None = Field(default=None, max_length=64)
    name: Readable | None = Field(default=None, max_length=200)
    visibility: Visibility | None = None
    mode: Mode | None = None
    take_over: str | None = Field(default=None, max_length=64)


@dataclass(frozen=True)
class Approver:
    """Who decides about a device: a person or an admin key, and which organisations they run.

    The first organisation is the one meant where none is named.
    """

    name: str
    organisations: tuple[OrgId, ...]


class PreviousNode(NamedTuple):
    """A node that the same machine was before; times are Unix milliseconds."""

    node_id: NodeId
    org_id: OrgId
    name: str
    visibility: Visibility
    mode: Mode
    last_seen_at_ms: int | None


@dataclass(frozen=True)
class DeviceView:
    """A waiting machine as the person who may approve it sees it; times are Unix milliseconds."""

    user_code: str
    name: str
    os: str
    architecture: str
    gpus: tuple[str, ...]
    agent_version: str
    address: str
    fingerprint: str
    created_at_ms: int
    expires_at_ms: int
    previous: tuple[PreviousNode, ...]


@dataclass(frozen=True)
class Approved:
    """What was decided; the machine hears it at its next poll."""

    user_code: str
    org_id: OrgId
    name: str
    visibility: Visibility
    mode: Mode
    take_over: NodeId | None
