"""The node's enrolment and its private key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from byoi_agent.config.paths import key_place
from byoi_agent.doctor.finding import failed, ok, warned
from byoi_agent.errors import AgentError
from byoi_agent.identity.enrolment import load_identity
from byoi_agent.identity.record import read_record
from byoi_agent.identity.stores import stores_for

if TYPE_CHECKING:
    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient
    from byoi_agent.identity.keys import Identity

_NAME: Final = "key"
_TITLE: Final = "Key"
_ENROL: Final = "byoi enroll --console URL"


async def check(patient: Patient) -> list[Finding]:
    """Whether the key is there, and in the safest place that this machine has."""
    try:
        if read_record(patient.paths.identity_file) is None:
            return [warned(_NAME, _TITLE, "none yet: this machine is not enrolled", _ENROL)]
        identity = await asyncio.to_thread(_load, patient)  # a keyring may take its time
    except (AgentError, OSError) as error:
        mend = "unlock or mend the store; if the key is lost: byoi enroll --replace --console URL"
        return [failed(_NAME, _TITLE, str(error), mend)]
    where = key_place(identity.key_store, patient.paths)
    return [ok(_NAME, _TITLE, f"{identity.node_id}'s private key lies {where}")]


def _load(patient: Patient) -> Identity:
    stores = stores_for(patient.settings, patient.paths, patient.environment)
    return load_identity(patient.paths.identity_file, stores)
