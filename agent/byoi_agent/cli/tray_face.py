"""What the tray icon shows of a node, and what its menu offers: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from byoi_agent.cli.durations import moment

if TYPE_CHECKING:
    from byoi_agent.control.schema import StatusReport

Look = Literal["serving", "paused", "away", "trouble", "gone"]
Mode = Literal["dedicated", "idle", "scheduled"]

HOUR_SECONDS: Final = 3600.0
MODES: Final[tuple[tuple[Mode, str], ...]] = (
    ("idle", "Serve while I am away"),
    ("dedicated", "Always serve"),
    ("scheduled", "Serve by schedule"),
)


@dataclass(frozen=True)
class Pause:
    """Have the machine now; without seconds until resumed."""

    seconds: float | None


@dataclass(frozen=True)
class Resume:
    """End the pause."""


@dataclass(frozen=True)
class Choose:
    """Switch the mode."""

    mode: Mode


@dataclass(frozen=True)
class OpenDashboard:
    """Show the node's pages in a browser."""


@dataclass(frozen=True)
class Quit:
    """End the icon; the node goes on."""


Action = Pause | Resume | Choose | OpenDashboard | Quit


@dataclass(frozen=True)
class Entry:
    """A line of the menu; without an action it only tells. The default one is a plain click's."""

    text: str
    action: Action | None = None
    is_checked: bool | None = None
    is_default: bool = False


@dataclass(frozen=True)
class Face:
    """The icon's look, the words beside it, and its menu; None is a line between entries."""

    look: Look
    title: str
    menu: tuple[Entry | None, ...]


def face_of(status: StatusReport | None, now: float) -> Face:
    """Of a node's answer; of None, where none answers, an icon that waits for it."""
    if status is None or status.availability is None:
        waits = Entry("No node answers; the icon waits for it")
        return Face("gone", "byoi: no node answers", (waits, None, Entry("Quit", Quit())))
    held = status.availability
    look: Look = "serving"
    if held.is_paused:
        look = "paused"
    elif held.state != "serve":
        look = "away"
    elif status.link.state != "online" or status.engine is None or status.engine.state == "failed":
        look = "trouble"
    return Face(
        look, f"byoi: {_words(status, look, now)}"[:_TITLE_LETTERS], _menu(status, look, now)
    )


_TITLE_LETTERS: Final = 100
"""Windows takes 127 and cuts words in two."""


def _words(status: StatusReport, look: Look, now: float) -> str:
    held = status.availability
    assert held is not None
    if look == "paused":
        until = "until resumed"
        if held.paused_until is not None:
            until = f"until {moment(held.paused_until, now)}"
        return f"paused {until}"
    if look == "away":
        return f"does not serve: {held.reason}"
    if look == "trouble":
        return "wants to serve and cannot; see the dashboard, or: byoi status"
    return f"serves: {held.reason}"


def _menu(status: StatusReport, look: Look, now: float) -> tuple[Entry | None, ...]:
    held = status.availability
    assert held is not None
    told = _words(status, look, now)
    paused = [Entry("Resume", Resume(), is_default=True)]
    serving = [
        Entry("Pause until resumed", Pause(None), is_default=True),
        Entry("Pause for 1 hour", Pause(HOUR_SECONDS)),
    ]
    switch = paused if held.is_paused else serving
    modes = [Entry(text, Choose(mode), is_checked=held.mode == mode) for mode, text in MODES]
    warned = [Entry(f"! {one.text}"[:_TITLE_LETTERS]) for one in status.warnings[:3]]
    return (
        Entry(told[:1].upper() + told[1:]),
        *warned,
        None,
        *switch,
        None,
        *modes,
        None,
        Entry("Open dashboard", OpenDashboard()),
        Entry("Quit", Quit()),
    )
