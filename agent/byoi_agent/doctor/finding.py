"""What a look at the machine found: one line for people, one object for programs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

State = Literal["ok", "warn", "fail", "skipped"]
"""`fail` keeps the node from serving, or will; `warn` costs something; `skipped` has no bearing."""


class Finding(BaseModel):
    """One check's answer.

    `name` is for programs, `title` and `text` for people; `mend` is what to type or do. Where it
    `can_fix`, `byoi doctor --fix` does it; `is_fixed` if that has just been done.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    title: str
    state: State
    text: str
    mend: str | None = None
    can_fix: bool = False
    is_fixed: bool = False


class Report(BaseModel):
    """All findings of one look, in the order in which they should be mended."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    checks: tuple[Finding, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether nothing keeps the node from serving."""
        return all(finding.state != "fail" for finding in self.checks)


def ok(name: str, title: str, text: str) -> Finding:
    """As it should be."""
    return Finding(name=name, title=title, state="ok", text=text)


def skipped(name: str, title: str, text: str) -> Finding:
    """Of no bearing here."""
    return Finding(name=name, title=title, state="skipped", text=text)


def warned(name: str, title: str, text: str, mend: str, *, can_fix: bool = False) -> Finding:
    """Something is lost by it, but the node serves."""
    return Finding(name=name, title=title, state="warn", text=text, mend=mend, can_fix=can_fix)


def failed(name: str, title: str, text: str, mend: str, *, can_fix: bool = False) -> Finding:
    """The node cannot serve like this, or not for long."""
    return Finding(name=name, title=title, state="fail", text=text, mend=mend, can_fix=can_fix)
