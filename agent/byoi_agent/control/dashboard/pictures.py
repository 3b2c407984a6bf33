"""What the overview says of a node in a few words; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from byoi_agent.control.schema import AvailabilityStatus

if TYPE_CHECKING:
    from byoi_agent.control.money import Balance
    from byoi_agent.control.schema import StatusReport

Kind = Literal["ok", "warn", "bad", "idle"]

MODES: Final = (
    ("dedicated", "Always", "serves at any hour"),
    ("idle", "When I am away", "serves while nobody uses this machine"),
    ("scheduled", "By schedule", "serves in the hours that you set"),
)
"""Each mode: its name for programs, for people, and what it means."""

PAUSES: Final = (("3600", "1 hour"), ("tomorrow", "until tomorrow"), ("", "until I resume"))
"""Each pause on offer: what the form sends, and what it is called."""

_ENGINE_KINDS: Final[dict[str, Kind]] = {
    "ready": "ok",
    "suspect": "warn",
    "starting": "warn",
    "draining": "warn",
    "failed": "bad",
    "backing_off": "bad",
}
_LINK_KINDS: Final[dict[str, Kind]] = {"online": "ok", "connecting": "warn", "waiting": "bad"}
_MEANT_TO_SERVE: Final = "serve"
_NOT_TOLD: Final = AvailabilityStatus(mode="dedicated", state="serve", code="", reason="")


@dataclass(frozen=True)
class Switch:
    """The big switch: its state in a word and a colour, and what is behind it.

    `until` is when that may change by the clock alone, in Unix seconds. `is_on` is the owner's
    wish; whether the node serves now is another thing.
    """

    is_on: bool
    kind: Kind
    word: str
    sentence: str
    until: float | None
    mode: str
    is_pinned_to: str | None

    @property
    def mode_label(self) -> str:
        """The mode as people call it."""
        return next((label for name, label, _ in MODES if name == self.mode), self.mode)


def switch_of(report: StatusReport) -> Switch:
    """What the switch shows now."""
    availability = report.availability or _NOT_TOLD
    is_on = not availability.is_paused
    word, kind, sentence = _state_of(report, availability)
    return Switch(
        is_on=is_on,
        kind=kind,
        word=word,
        sentence=sentence,
        until=availability.paused_until if availability.is_paused else availability.until,
        mode=availability.mode,
        is_pinned_to=availability.pinned_to,
    )


def engine_kind(state: str) -> Kind:
    """An engine's state as a colour."""
    return _ENGINE_KINDS.get(state, "idle")


def link_kind(state: str) -> Kind:
    """The link's state as a colour."""
    return _LINK_KINDS.get(state, "bad")


def joules_of(balance: Balance) -> float | None:
    """All of a day's energy: of requests, between two looks, idle and assumed."""
    parts = (
        balance.joules,
        balance.left_joules,
        balance.idle_joules,
        balance.assumed_joules,
    )
    known = [joules for joules in parts if joules is not None]
    return sum(known) if known else None


def _state_of(report: StatusReport, availability: AvailabilityStatus) -> tuple[str, Kind, str]:
    """The state's word, colour and reason; what keeps it from serving at all comes first."""
    if report.is_draining:
        return "Stopping", "warn", "The node ends; what it is answering is let finish."
    if not availability.is_paused and availability.state == _MEANT_TO_SERVE:
        return _serving(report, availability)
    rest = _rest_of(report) if availability.state == "drain" else ""
    told = f"{_sentence(availability.reason)} {rest}".strip()
    if availability.is_paused:
        return "Paused", "idle", told
    # Quiet hours stay a drain until they end, also once the last answer has.
    return ("Making way", "warn", told) if rest else ("Yours", "idle", told)


def _serving(report: StatusReport, availability: AvailabilityStatus) -> tuple[str, Kind, str]:
    """It is meant to serve: whether it can."""
    if report.link.state != "online":
        return "Not connected", "bad", "The console cannot be reached; it is tried again."
    if not report.is_serving:
        state = "none" if report.engine is None else report.engine.state
        return "Getting ready", "warn", f"The engine is not ready yet: {state}."
    return "Serving", "ok", _sentence(availability.reason)


def _rest_of(report: StatusReport) -> str:
    """What is still being answered."""
    if not report.running:
        return ""
    requests = "1 request" if report.running == 1 else f"{report.running} requests"
    return f"{requests} still being answered."


def _sentence(reason: str) -> str:
    """A reason as a sentence of its own."""
    text = reason.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")
