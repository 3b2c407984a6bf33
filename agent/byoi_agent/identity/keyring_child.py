"""A program of its own: one question to the system's keyring, as JSON on standard input.

The only importer of keyring. It answers `{"secret": …}` or `{"problem": …}` on standard output.
"""

from __future__ import annotations

import json
import sys
from typing import Protocol


class Backend(Protocol):
    """What is used of `keyring.backend.KeyringBackend`."""

    @property
    def priority(self) -> float:
        """How good it thinks it is; below 1 is what keyring itself advises against."""
        ...

    def get_password(self, service: str, account: str) -> str | None:
        """The secret, if it has one."""
        ...

    def set_password(self, service: str, account: str, secret: str) -> None:
        """Keep a secret."""
        ...

    def delete_password(self, service: str, account: str) -> None:
        """Forget a secret."""
        ...


def answer(question: dict[str, str], backend: Backend) -> dict[str, str | None]:
    """Do what was asked, unless the backend would keep the secret where others can read it."""
    if problem := unsafe(backend):
        return {"problem": problem}
    service, account = question["service"], question["account"]
    match question["action"]:
        case "get":
            return {"secret": backend.get_password(service, account)}
        case "set":
            backend.set_password(service, account, question["secret"])
        case "delete" if backend.get_password(service, account) is not None:
            backend.delete_password(service, account)
    return {"secret": None}


def unsafe(backend: Backend) -> str | None:
    """Why a backend must not have a secret; None when it may.

    keyring falls back to `keyring.backends.fail`, or to plain text where keyrings.alt is installed;
    both have a priority below 1 or live in keyrings.alt. A chain is as weak as its first link.
    """
    for part in (backend, *getattr(backend, "backends", ())):
        if type(part).__module__.startswith("keyrings.alt"):
            return "only a plain-text keyring is there"
    if backend.priority < 1:
        return "no safe keyring is there"
    return None


def main() -> None:
    """Answer the question on standard input."""
    try:
        import keyring  # noqa: PLC0415 its import may fail too, and that is an answer

        result = answer(json.load(sys.stdin), keyring.get_keyring())
    except Exception as error:  # noqa: BLE001 any backend may raise anything; the parent decides
        result = {"problem": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
