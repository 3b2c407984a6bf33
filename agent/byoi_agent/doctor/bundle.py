"""What goes to somebody who helps: one archive, without any secret."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import sys
import tarfile
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from byoi_agent.config.addresses import without_secrets
from byoi_agent.config.settings import ENVIRONMENT_PREFIX, Settings, shown
from byoi_agent.telemetry.log_file import newest
from byoi_agent.telemetry.redaction import MASK, redact, redact_value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from byoi_agent.doctor.finding import Report
    from byoi_agent.doctor.patient import Patient

LOG_LINES: Final = 5000
_LINE_LIMIT: Final = 10_000

_PLAIN_VARIABLES: Final = ("PATH", "LANG", "TERM", "XDG_SESSION_TYPE", "CUDA_VISIBLE_DEVICES")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_README: Final = """What is in here: what `byoi doctor` found, the settings without secrets, the
devices, versions of programs, and the end of the node's log. No prompt and no answer is ever in
the log; keys, tokens and passwords were taken out of everything.

What is left in, as nobody could help without it: the names of the node, of its organisation and of
its models, the console's address, paths of folders (your home folder is written ~), the devices'
serial numbers (UUIDs), and names of machines and accounts where a line of the log has them. Look
through it before you send it.
"""


async def bundle(
    patient: Patient,
    report: Report,
    status: Mapping[str, object] | None,
    log_file: Path,
    log_lines: list[str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> bytes:
    """The archive, as a gzipped tar; `status` is what the running node says, if one does.

    `log_lines` are those that the node itself told, where its file cannot be read; `settings` are
    its own as it tells them, which are another user's where it is a service.
    """
    reading = await patient.probe.read()
    told: dict[str, object] = {
        "doctor": report.model_dump(mode="json"),
        "settings": _settings(patient.settings) if settings is None else settings,
        "environment": _environment(patient.environment),
        "versions": _versions(),
        "devices": [asdict(device) for device in (*reading.devices, *reading.lost)],
    }
    if status is not None:
        told["status"] = status
    secrets = _secrets(patient)
    lines = _log(log_file) if log_lines is None else log_lines
    parts = {"README.txt": _README, "log.txt": _cleaned("\n".join(lines), secrets)}
    for name, value in told.items():
        # Before it becomes text: cleaned as text it may be JSON no more.
        clean = _cleaned_value(json.loads(json.dumps(value, default=str)), secrets)
        parts[f"{name}.json"] = json.dumps(clean, indent=2)
    return _packed(parts)


def _settings(settings: Settings) -> dict[str, object]:
    return {name: shown(name, getattr(settings, name)) for name in Settings.model_fields}


def _environment(environment: Mapping[str, str]) -> dict[str, object]:
    """Our own variables, and those that decide where a program is and what it reaches."""
    wanted = {
        name: value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
        or name in _PLAIN_VARIABLES
        or name.lower() in _PROXIES
    }
    return {name: redact_value(name, wanted[name]) for name in sorted(wanted)}


def _versions() -> dict[str, object]:
    packages = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    return {
        "byoi-agent": importlib.metadata.version("byoi-agent"),
        "python": sys.version,
        "system": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }


def _log(file: Path) -> list[str]:
    try:
        return [line[:_LINE_LIMIT] for line in newest(file, LOG_LINES, lambda _line: True)]
    except OSError as error:
        return [f"the log cannot be read: {error}"]


def _secrets(patient: Patient) -> tuple[str, ...]:
    """The very values that must not be anywhere, whatever stands before them."""
    named = [
        value
        for name, value in patient.environment.items()
        if redact_value(name, value) == MASK and value
    ]
    if patient.settings.engine_api_key:
        named.append(patient.settings.engine_api_key)
    return tuple(sorted(named, key=len, reverse=True))


def _cleaned(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK).replace(json.dumps(secret)[1:-1], MASK)
    text = without_secrets(redact(text))
    home = os.path.expanduser("~")  # noqa: PTH111 as text, to be replaced in text
    return text.replace(home, "~") if len(home) > 1 else text


def _cleaned_value(value: object, secrets: tuple[str, ...]) -> object:
    if isinstance(value, str):
        return _cleaned(value, secrets)
    if isinstance(value, list):
        return [_cleaned_value(one, secrets) for one in value]
    if isinstance(value, dict):
        return {
            _cleaned(name, secrets): MASK
            if redact_value(name, inner) == MASK
            else _cleaned_value(inner, secrets)
            for name, inner in value.items()
        }
    return value


def _packed(parts: Mapping[str, str]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, text in parts.items():
            data = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"byoi-doctor/{name}")
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()
