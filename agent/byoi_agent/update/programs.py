"""Runs the programs that an update needs, and tells in a sentence what they did not do."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LONGEST_SECONDS: Final = 1800.0
_TOLD_CHARACTERS: Final = 400


class UpdateFailed(AgentError):
    """A step could not be carried out; the message is for the owner."""


def run(
    argv: Sequence[str],
    *,
    account: str | None = None,
    environment: Mapping[str, str] | None = None,
    within_seconds: float = LONGEST_SECONDS,
) -> str:
    """What a program says on standard output.

    With `account`, it runs with that one's rights, where this process has root's.

    Raises:
        UpdateFailed: it is not there, does not end in time, or fails.
    """
    as_account: dict[str, Any] = {}
    if account is not None and sys.platform != "win32" and os.geteuid() == 0:
        as_account = {"user": account, "group": account, "extra_groups": [account], "umask": 0o077}
    try:
        done: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603 a list of words, no shell
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within_seconds,
            check=False,
            cwd="/" if os.name == "posix" else None,
            env={**os.environ, **(environment or {})},
            **as_account,
        )
    except subprocess.TimeoutExpired as error:
        raise UpdateFailed(f"{argv[0]} did not end within {within_seconds:.0f} s") from error
    except (OSError, subprocess.SubprocessError, LookupError) as error:
        raise UpdateFailed(f"{argv[0]} cannot be run: {error}") from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[-_TOLD_CHARACTERS:]
        raise UpdateFailed(f"{' '.join(argv[:3])} ended with {done.returncode}: {said}")
    return done.stdout


if sys.platform == "win32":

    @contextmanager
    def rights_of(account: str | None) -> Iterator[None]:  # noqa: ARG001 a service has no files there
        """There is nobody to become."""
        yield

else:
    import pwd

    @contextmanager
    def rights_of(account: str | None) -> Iterator[None]:
        """Look at files with the rights of that account meanwhile, where this process is root's.

        Raises:
            UpdateFailed: there is no such account.
        """
        if account is None or os.geteuid() != 0:
            yield
            return
        try:
            facts = pwd.getpwnam(account)
        except KeyError as error:
            raise UpdateFailed(f"there is no account {account}; install byoi again") from error
        own = os.getegid(), os.getgroups()
        os.setgroups([facts.pw_gid])
        os.setegid(facts.pw_gid)
        os.seteuid(facts.pw_uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(own[0])
            os.setgroups(own[1])
