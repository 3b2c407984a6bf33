"""Proof that an account can serve: it sees the accelerators, and an engine of it has answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from byoi_agent.availability.sensors.choice import this_user
from byoi_agent.doctor.hardware import account, check

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient
    from byoi_agent.hardware.devices import ProbeReading


@dataclass(frozen=True)
class Answered:
    """One token was computed; `seconds` from the question to the answer."""

    model: str
    engine: str
    seconds: float


@dataclass(frozen=True)
class Unanswered:
    """None was, and why.

    `is_pending`: the engine is on its way, ask again. `is_held`: its owner has the machine, and
    nothing was asked.
    """

    reason: str
    mend: str | None = None
    is_pending: bool = False
    is_held: bool = False


class Proof(BaseModel):
    """What an account could show of itself; `missing` and its `mend` where it could not.

    `accelerators` are the names of those that it sees, none on a machine that computes on its
    processor. `seconds` is what the one token took.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    is_proven: bool
    account: str
    accelerators: tuple[str, ...] = ()
    engine: str | None = None
    model: str | None = None
    seconds: float | None = None
    missing: str | None = None
    mend: str | None = None
    is_pending: bool = False
    is_held: bool = False

    @property
    def sentence(self) -> str:
        """The whole of it for people."""
        if self.is_proven:
            sees = ", ".join(self.accelerators) or "the processor (no accelerator)"
            return (
                f"{self.account} computes on {sees}: {self.model} answered "
                f"in {self.seconds:.2f} s ({self.engine})"
            )
        if self.is_held:
            return f"{self.account} was not asked: {self.missing}"
        mend = f"; {self.mend}" if self.mend else ""
        return f"{self.account} cannot serve yet: {self.missing}{mend}"


async def prove(
    patient: Patient, ask: Callable[[], Awaitable[Answered | Unanswered]], name: str | None = None
) -> Proof:
    """Look at the accelerators, then have one token computed.

    What the drivers say comes first: an engine that answers on the processor proves nothing of a
    card that the account cannot see.
    """
    reading = await patient.probe.read()
    who = name or this_user()
    seen = tuple(device.name for device in reading.devices if device.kind != "cpu")
    for finding in await check(patient):
        if finding.state == "fail":
            return _unproven(who, seen, Unanswered(finding.text, finding.mend))
    answer = await ask()
    if isinstance(answer, Unanswered):
        return _unproven(who, seen, answer)
    return Proof(
        is_proven=True,
        account=who,
        accelerators=seen,
        engine=answer.engine,
        model=answer.model,
        seconds=answer.seconds,
    )


def compared(proof: Proof, patient: Patient, reading: ProbeReading) -> Proof:
    """The same, unless whoever asks sees an accelerator that the node's account does not."""
    wrong = next((one for one in account(patient, reading) if one.state == "fail"), None)
    return proof if wrong is None else _beside(proof, wrong)


def _beside(proof: Proof, wrong: Finding) -> Proof:
    return proof.model_copy(
        update={
            "is_proven": False,
            "is_pending": False,
            "is_held": False,
            "missing": wrong.text,
            "mend": wrong.mend,
        }
    )


def _unproven(who: str, seen: tuple[str, ...], why: Unanswered) -> Proof:
    return Proof(
        is_proven=False,
        account=who,
        accelerators=seen,
        missing=why.reason,
        mend=why.mend,
        is_pending=why.is_pending,
        is_held=why.is_held,
    )
