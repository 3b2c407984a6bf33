"""The device flow (RFC 8628): a code for a person, and questions until that person has decided."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Annotated, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from byoi_agent.errors import AgentError, IdentityError, LinkError
from byoi_agent.identity import machine
from byoi_agent.identity.console_http import ConsoleHttp, Reply, printable, signed
from byoi_agent.identity.enrolment import DOING, TOKEN_PATH, proof_of
from byoi_agent.identity.keys import fingerprint_of, public_key_text, raw_public_key
from byoi_agent.identity.membership import Admission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from byoi_agent.clock import Clock
    from byoi_agent.identity.machine import Event, Outcome

DEVICE_PATH: Final = "/agent/v1/device"

_TAG: Final = b"byoi-device-v1"
_NOT_FOUND: Final = frozenset({404, 405})
_PLAIN_NO: Final = "The request was denied"
"""A console's words for a no without a reason, which our own sentence says already."""
# What is shown, and perhaps opened in a browser, is a stranger's text.
_WebAddress = Annotated[str, Field(pattern=r"^https?://[!-~]+$", max_length=500)]


class DeviceCode(BaseModel):
    """What the console gave: the code for a person, and how and how long to ask about it."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    device_code: str = Field(repr=False, max_length=1024)
    user_code: str = Field(pattern=r"^[A-Z0-9-]{4,20}$")
    verification_uri: _WebAddress
    verification_uri_complete: _WebAddress | None = None
    expires_in: float
    interval: float = 5.0

    @property
    def address(self) -> str:
        """Where to go, with the code in it where the console knows such an address."""
        return self.verification_uri_complete or self.verification_uri


class Audience(Protocol):
    """Who waits beside the machine."""

    def code_given(self, code: DeviceCode, fingerprint: str) -> None:
        """Show where to go and what to type; `fingerprint` is the key's, to compare there."""

    def trouble(self, reason: str | None) -> None:
        """The console cannot be reached now; None once it can again."""


class _Problem(BaseModel):
    """RFC 8628, section 3.5, and RFC 6749, section 5.2."""

    error: Literal[
        "authorization_pending", "slow_down", "access_denied", "expired_token", "invalid_grant"
    ]
    error_description: str = ""


class DeviceFlow:
    """A person's approval as the way in: what `admit` asks the console with."""

    def __init__(
        self,
        http: ConsoleHttp,
        host: Mapping[str, object],
        sign: str | None,
        *,
        clock: Clock,
        audience: Audience,
    ) -> None:
        self._http = http
        self._host = host
        self._sign = sign
        self._clock = clock
        self._audience = audience
        self._admission: Admission | None = None
        self._words = ""

    @property
    def name(self) -> None:
        """None: each time a person is shown another code."""
        return

    @property
    def was_asked(self) -> bool:
        """Whether the console may have heard of it."""
        return self._http.was_asked

    async def __call__(self, key: Ed25519PrivateKey) -> Admission:
        """Have this key approved, however long the console lets that take.

        Raises:
            IdentityError: the console refused, or is none.
            LinkError: the console could not be reached for a code.
            AgentError: it was denied, or nobody approved it in time.
        """
        code = await self._ask_for_code(key)
        self._audience.code_given(code, fingerprint_of(key))
        outcome = await self._poll(code, key)
        if self._admission is not None:
            return self._admission
        raise self._ended(outcome, code)

    async def _ask_for_code(self, key: Ed25519PrivateKey) -> DeviceCode:
        body = {
            "public_key": public_key_text(key),
            "proof": signed(key, _TAG, raw_public_key(key)),
            "host": dict(self._host),
        }
        if self._sign is not None:
            body["machine"] = self._sign
        reply = await self._http.post(DEVICE_PATH, body)
        if reply.status in _NOT_FOUND and reply.words is None:
            raise IdentityError(
                f"{self._http.base} knows no approval by a person; is it a byoi console? "
                "If it is an older one, use a join token: --join-token-file FILE"
            )
        return self._http.understand(reply, DeviceCode, DOING)

    async def _poll(self, code: DeviceCode, key: Ed25519PrivateKey) -> Outcome:
        """What the machine orders, until it says that the end is reached."""
        state: machine.State = machine.Idle()
        events: list[Event] = [machine.CodeGiven(code.interval, code.expires_in)]
        while events:
            state, commands = machine.step(state, events.pop(0), self._clock.monotonic())
            for command in commands:
                match command:
                    case machine.WakeAt(at):
                        await self._clock.sleep_until(at)
                        events.append(machine.Woke())
                    case machine.Ask():
                        events.append(await self._ask(code, key))
                    case machine.End(outcome):
                        return outcome
        raise AssertionError(f"the device flow stands still in {state}")

    async def _ask(self, code: DeviceCode, key: Ed25519PrivateKey) -> Event:
        body = {
            "device_code": code.device_code,
            "public_key": public_key_text(key),
            "proof": proof_of(code.device_code, key),
        }
        dice = random.random()  # noqa: S311 (jitter, not a secret)
        try:
            event = self._understand(await self._http.post(TOKEN_PATH, body))
        except LinkError as error:
            self._audience.trouble(str(error))
            return machine.NotReached(dice, error.retry_after_seconds)
        self._audience.trouble(None)
        return event

    def _understand(self, reply: Reply) -> Event:
        problem = _problem(reply)
        if problem is None:
            self._admission = self._http.understand(reply, Admission, DOING)
            return machine.Decided("admitted")
        self._words = printable(problem.error_description)
        match problem.error:
            case "authorization_pending":
                return machine.StillPending()
            case "slow_down":
                return machine.ToldToSlowDown()
            case "access_denied":
                return machine.Decided("denied")
            case "expired_token":
                return machine.Decided("expired")
            case "invalid_grant":
                return machine.Decided("refused")

    def _ended(self, outcome: Outcome, code: DeviceCode) -> AgentError:
        again = f"run: byoi enroll --console {self._http.base}"
        match outcome:
            case "denied":
                said = self._words.rstrip(".")
                why = f" ({said})" if said not in {"", _PLAIN_NO} else ""
                return AgentError(
                    f"the enrolment was denied in the console{why}; to ask again, {again}"
                )
            case "expired":
                return AgentError(
                    f"nobody approved the code {code.user_code} in time; for a new one, {again}"
                )
            case _:
                return IdentityError(
                    f"the console does not know the code any more ({self._words or 'no reason'}); "
                    f"for a new one, {again}"
                )


def _problem(reply: Reply) -> _Problem | None:
    if reply.status != 400:  # noqa: PLR2004 (RFC 6749, section 5.2: bad request, and no other)
        return None
    try:
        return _Problem.model_validate_json(reply.text)
    except ValidationError:
        return None
