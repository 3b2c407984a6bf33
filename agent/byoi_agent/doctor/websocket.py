"""Whether a websocket comes through to the console: proxies and gateways may pass nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from byoi_agent.doctor.finding import failed, ok, skipped
from byoi_agent.errors import ConfigError
from byoi_agent.link.address import link_url
from byoi_agent.link.connection import tls_context
from byoi_wire.aio.websocket import DialRefused, dial

if TYPE_CHECKING:
    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient

_NAME: Final = "websocket"
_TITLE: Final = "Websocket"
_DIAL_SECONDS: Final = 8.0


async def check(patient: Patient) -> list[Finding]:
    """One is opened, as the node would, and closed before anybody proves anything."""
    if patient.console_url is None or patient.node is not None:
        return []  # a running node's link tells more
    try:
        address = link_url(patient.console_url)
        tls = await asyncio.to_thread(tls_context, patient.settings.ca_file)
        channel = await dial(
            address, tls=tls, user_agent="byoi doctor", timeout_seconds=_DIAL_SECONDS
        )
    except ConfigError as error:
        return [failed(_NAME, _TITLE, str(error), "byoi enroll --console https://…")]
    except DialRefused as refusal:
        mend = (
            "have the proxy, or the gateway before the console, pass websockets (the headers "
            "Upgrade and Connection); reverse proxies are in the operator's guide"
        )
        return [failed(_NAME, _TITLE, f"{address}: {refusal}", mend)]
    except OSError as error:
        reason = error.strerror or str(error) or "no answer in time"
        return [skipped(_NAME, _TITLE, f"the console is not reached: {reason}")]
    channel.abort()
    return [ok(_NAME, _TITLE, "comes through to the console")]
