"""Whether newer versions reach this machine, and what became of the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from byoi_agent.config.installation import read_installation
from byoi_agent.doctor.finding import failed, ok, skipped, warned
from byoi_agent.update.place import folder_of, told_here

if TYPE_CHECKING:
    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient
    from byoi_agent.update.told import Entry, Told

_NAME: Final = "updates"
_TITLE: Final = "Updates"
_OLD_SECONDS: Final = 14 * 86_400.0


async def check(patient: Patient) -> list[Finding]:
    """What the updater of this installation last told."""
    if folder_of(read_installation()) is None:
        return [skipped(_NAME, _TITLE, "this byoi is not replaced by byoi update")]
    return [finding_of(told_here(), patient.clock.wall())]


def finding_of(told: Told | None, now: float) -> Finding:
    """The one thing about updates that matters most."""
    if told is None or told.checked_at is None:
        return warned(
            _NAME,
            _TITLE,
            "nobody has ever looked for a newer version here",
            "sudo byoi update --check; by itself: systemctl enable --now byoi-update.timer",
        )
    if (last := told.last) is not None and last.outcome in {"stuck", "rolled back"}:
        return _broken(last)
    if told.trouble is not None:
        return warned(_NAME, _TITLE, told.trouble, "sudo byoi update --check")
    if now - told.checked_at > _OLD_SECONDS:
        days = (now - told.checked_at) / 86_400
        return warned(
            _NAME,
            _TITLE,
            f"nobody has looked for a newer version for {days:.0f} days",
            "sudo byoi update --check; by itself: systemctl enable --now byoi-update.timer",
        )
    if told.available is not None:
        held = told.held or "it is installed by itself"
        return warned(_NAME, _TITLE, f"{told.available} is available: {held}", "sudo byoi update")
    return ok(_NAME, _TITLE, f"this is the newest version of the ring {told.ring}")


def _broken(last: Entry) -> Finding:
    if last.outcome == "stuck":
        return failed(
            _NAME,
            _TITLE,
            f"the update to {last.new} failed and {last.old} could not be put back: {last.reason}",
            "mend that, then: sudo byoi update --resume",
        )
    return warned(
        _NAME,
        _TITLE,
        f"{last.new} did not prove itself and was taken back: {last.reason}",
        f"a newer one is tried by itself; this one again: sudo byoi update --to {last.new}",
    )
