"""The way to the console: names, proxy, TLS, its answer, and how far the clocks are apart."""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from byoi_agent.doctor import timekeeping
from byoi_agent.doctor.finding import failed, ok, skipped, warned
from byoi_agent.errors import ConfigError
from byoi_agent.identity.console_http import trust_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from byoi_agent.doctor.finding import Finding
    from byoi_agent.doctor.patient import Patient

CALL_SECONDS: Final = 8.0
CLOCK_SECONDS: Final = 30.0
"""Certificates, times of usage and the end of a pause go wrong beyond this."""

_DAY: Final = 86_400.0
_EXPIRES_SOON_DAYS: Final = 14.0
_OK: Final = 200


class Answered(NamedTuple):
    """What came back: its status, when its clock said so, and until when its certificate holds."""

    status: int
    date: float | None = None
    expires_at: float | None = None


async def check(patient: Patient) -> list[Finding]:
    """Each step on the way; those behind a broken one are left out."""
    url = patient.console_url
    if url is None:
        return [
            warned(
                "enrolment",
                "Console",
                "this machine is not enrolled with any",
                "byoi enroll --console URL",
            )
        ]
    host = urlsplit(url).hostname or ""
    proxy = proxy_for(url, patient.environment)
    named = await _name(proxy[1] if proxy else host)
    steps = [named, _proxy(proxy)]
    if named.state != "fail":
        steps += await _answer(patient, url)
    if not any(step.name == "clock" for step in steps):
        steps.append(timekeeping.finding(await asyncio.to_thread(timekeeping.is_kept)))
    return steps


def proxy_for(url: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The proxy that such a call goes through, without its password, and its host."""
    parts = urlsplit(url)
    known = {name.lower(): value for name, value in environment.items()}
    address = known.get(f"{parts.scheme}_proxy") or known.get("all_proxy")
    if not address or _is_excepted(parts.hostname or "", known.get("no_proxy", "")):
        return None
    there = urlsplit(address if "://" in address else f"http://{address}")
    port = f":{there.port}" if there.port else ""
    return f"{there.scheme}://{there.hostname}{port}", there.hostname or ""


def _is_excepted(host: str, exceptions: str) -> bool:
    return bool(proxy_bypass_environment(host, {"no": exceptions}))


def _proxy(proxy: tuple[str, str] | None) -> Finding:
    name, title = "proxy", "Proxy"
    return ok(name, title, f"through {proxy[0]}") if proxy else skipped(name, title, "none is set")


async def _name(host: str) -> Finding:
    name, title = "dns", "Name"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return skipped(name, title, f"{host} is an address")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CALL_SECONDS):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else _reason(error)
        mend = "look at this machine's network and name servers (resolvectl query, nslookup)"
        return failed(name, title, f"{host} is not found: {reason}", mend)
    addresses = sorted({str(entry[4][0]) for entry in found})
    return ok(name, title, f"{host} is {', '.join(addresses[:3])}")


async def _answer(patient: Patient, url: str) -> list[Finding]:
    name, title = "console", "Console"
    try:
        came = await ask(url, patient)
    except ConfigError as error:
        mend = "name a file of certificates (PEM) that this account may read: ca_file, BYOI_CA_FILE"
        return [failed("tls", "TLS", str(error), mend)]
    except ssl.SSLError as error:
        mend = "set ca_file (BYOI_CA_FILE) if the certificate is your company's own"
        return [failed("tls", "TLS", f"{url}: {_reason(error)}", mend)]
    except (OSError, TimeoutError) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else _reason(error)
        mend = "see whether it runs, and whether a firewall lets this machine out to it"
        return [failed(name, title, f"{url} cannot be reached: {reason}", mend)]
    found = list(_certificate(url, came, patient.clock.wall()))
    if came.status == _OK:
        found.append(ok(name, title, f"{url} answers"))
    else:
        mend = "see whether the address is the console's own"
        found.append(failed(name, title, f"{url}/healthz answers {came.status}", mend))
    return [*found, *_clock(came, patient.clock.wall())]


async def ask(url: str, patient: Patient) -> Answered:
    """One call, as the node itself would make it.

    Raises:
        OSError: it cannot be reached; `ssl.SSLError`, which is one, where it is not to be trusted.
        TimeoutError: it does not answer.
    """
    import aiohttp  # noqa: PLC0415 a third of a second that only this check needs

    is_tls = url.startswith("https:")
    trust = trust_of(patient.settings.ca_file) if is_tls else True
    limit = aiohttp.ClientTimeout(total=CALL_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, trust_env=True) as session,
            session.get(f"{url}/healthz", ssl=trust, allow_redirects=False) as response,
        ):
            status, date = response.status, _date(response.headers.get("date"))
    except aiohttp.ClientConnectorCertificateError as error:
        raise ssl.SSLError(str(error.certificate_error)) from error
    except aiohttp.ClientError as error:
        raise OSError(" ".join(str(error).split())) from error
    if not isinstance(trust, ssl.SSLContext) or proxy_for(url, patient.environment):
        return Answered(status, date)  # behind a proxy it would take a tunnel of our own
    return Answered(status, date, await _expires_at(url, trust))


async def _expires_at(url: str, trust: ssl.SSLContext) -> float | None:
    """Until when the console's certificate holds; aiohttp lets go of it too early to ask there."""
    parts = urlsplit(url)
    async with asyncio.timeout(CALL_SECONDS):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=trust)
        shown = writer.get_extra_info("peercert") or {}
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return ssl.cert_time_to_seconds(shown["notAfter"]) if "notAfter" in shown else None


def _certificate(url: str, came: Answered, now: float) -> Iterator[Finding]:
    name, title = "tls", "TLS"
    if came.expires_at is None:
        if url.startswith("http:"):
            yield skipped(name, title, "the console is on this machine")
        return
    days = (came.expires_at - now) / _DAY
    if days < _EXPIRES_SOON_DAYS:
        mend = "tell whoever runs the console to renew it"
        yield warned(name, title, f"the certificate ends in {days:.0f} days", mend)
    else:
        yield ok(name, title, f"trusted; the certificate holds {days:.0f} days")


def _clock(came: Answered, now: float) -> Iterator[Finding]:
    name, title = "clock", "Clock"
    if came.date is None:
        return
    apart = now - came.date
    if abs(apart) <= CLOCK_SECONDS:
        yield ok(name, title, "agrees with the console's")
        return
    way = "ahead of" if apart > 0 else "behind"
    mend = "set it by the network: sudo timedatectl set-ntp true (Windows: w32tm /resync)"
    yield failed(name, title, f"{_span(abs(apart))} {way} the console's", mend)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004


def _date(header: str | None) -> float | None:
    if header is None:
        return None
    try:
        return email.utils.parsedate_to_datetime(header).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(error: OSError) -> str:
    return error.strerror or " ".join(str(error).split()) or type(error).__name__
