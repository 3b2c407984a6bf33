"""Carries out the steps of a launcher and tells them; the only file here that changes things."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final, assert_never

from byoi_agent.service.launcher import Call, Link, Remove, Run, ServiceError, WriteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from byoi_agent.service.launcher import Step

RUN_SECONDS: Final = 180.0
"""A stop waits until requests have ended; the service manager has a limit of its own."""


def in_words(step: Step) -> str:
    """What a step does, for a person."""
    match step:
        case WriteFile(path=path):
            return f"write {path}"
        case Link(path=path, target=target):
            return f"link {path} to {target}"
        case Remove(path=path):
            return f"remove {path}"
        case Run(argv=argv):
            return f"run {' '.join(argv)}"
        case Call(words=words):
            return words
        case _:
            assert_never(step)


def carry_out(steps: Iterable[Step], tell: Callable[[Step], None] = lambda _: None) -> None:
    """Do them in order; those that change nothing are not told.

    Raises:
        ServiceError: one failed; those before it stay done, and doing all again is safe.
    """
    for step in steps:
        try:
            changed = _do(step)
        except OSError as error:
            raise ServiceError(
                f"cannot {in_words(step)}: {error.strerror or error}; nothing after it was done; "
                f"{_mend(error)}"
            ) from error
        if changed:
            tell(step)


def _mend(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"type the same {'as an administrator' if os.name == 'nt' else 'with that right'}"
    return "once that is mended, type the same again"


def output_of(argv: Iterable[str]) -> str:
    """What a program says; nothing where it fails.

    Raises:
        ServiceError: it is not here, or hangs.
    """
    return _run(tuple(argv)).stdout


def _do(step: Step) -> bool:
    match step:
        case WriteFile(path=path, text=text, mode=mode):
            return _write(path, text, mode)
        case Link(path=path, target=target):
            return _link(path, target)
        case Remove(path=path):
            return _remove(path)
        case Run():
            return _carry_out(step)
        case Call(do=do):
            do()
            return True
        case _:
            assert_never(step)


def _write(path: Path, text: str, mode: int) -> bool:
    if path.is_file() and not path.is_symlink() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        draft.chmod(mode)  # whatever the umask is: its reader is another
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return True


def _link(path: Path, target: Path) -> bool:
    if path.is_symlink() and path.readlink() == target:
        return False
    if path.exists() and not path.is_symlink():
        raise ServiceError(f"{path} is there and is no link of ours; move it away and try again")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(path)
    return True


def _remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return True
    there = path.is_symlink() or path.exists()
    path.unlink(missing_ok=True)
    return there


def _carry_out(step: Run) -> bool:
    done = _run(step.argv)
    if done.returncode == 0 or step.may_fail:
        return done.returncode == 0
    said = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"
    raise ServiceError(f"{' '.join(step.argv)} failed: {said}; {step.mend}")


def _run(argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 a list of words, no shell
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=RUN_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise ServiceError(f"there is no program {argv[0]} here") from error
    except subprocess.TimeoutExpired as error:
        raise ServiceError(
            f"{' '.join(argv)} did not end within {RUN_SECONDS:g} seconds; try again"
        ) from error
