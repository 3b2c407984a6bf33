"""The paths that are measured, each a front door on loopback with the processes behind it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"


class Unavailable(Exception):
    """This path cannot be measured here; the message says why and what to do."""


@dataclass(frozen=True)
class MeasuredPath:
    """Where to knock, and whose CPU and memory the knock costs."""

    name: str
    port: int
    roots: tuple[int, ...] = ()
    key: str = ""

    def pids(self) -> list[int]:
        """All processes of the path, as they are now."""
        return [pid for root in self.roots for pid in processes.tree(root)]


def compile_tools() -> None:
    """Build engine and load where their sources are newer.

    Raises:
        Unavailable: there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Unavailable(
            "a C compiler is missing; on Debian and Ubuntu: apt install gcc libc6-dev"
        )
    BUILD.mkdir(exist_ok=True)
    for name in ("engine", "load"):
        source, program = HERE / f"{name}.c", BUILD / name
        newest = max(source.stat().st_mtime, (HERE / "clock.h").stat().st_mtime)
        if not program.exists() or program.stat().st_mtime < newest:
            subprocess.run([compiler, "-O2", "-Wall", "-o", program, source], check=True)


@contextmanager
def engine(rate: float) -> Iterator[MeasuredPath]:
    """The stand-in engine; measured alone it is the path "direct"."""
    with _running([str(BUILD / "engine"), "--port", "0", "--rate", str(rate)]) as process:
        assert process.stdout
        port = int(process.stdout.readline().split()[-1])
        yield MeasuredPath("direct", port)


@contextmanager
def nginx_twice(engine_port: int, folder: Path) -> Iterator[MeasuredPath]:
    """Two nginx in a row: as many hops as console and agent.

    Raises:
        Unavailable: there is no nginx.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise Unavailable("nginx is missing; on Debian and Ubuntu: apt install nginx-light")
    template = (HERE / "nginx.conf.in").read_text()
    with ExitStack() as stack:
        roots, next_port = [], engine_port
        for hop in ("back", "front"):
            port, home = free_port(), folder / hop
            home.mkdir()
            text = template.replace("@FOLDER@", str(home)).replace("@PORT@", str(port))
            (home / "nginx.conf").write_text(text.replace("@NEXT@", str(next_port)))
            command = [program, "-p", str(home), "-c", str(home / "nginx.conf")]
            roots.append(stack.enter_context(_running(command)).pid)
            next_port = port
            wait_for_http(port, "/health")
        yield MeasuredPath("nginx→nginx", next_port, tuple(roots))


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def wait_for_http(port: int, path: str, *, seconds: float = 20, key: str = "") -> dict[str, object]:
    """The first good answer as JSON, or an empty object where it is none.

    Raises:
        Unavailable: no good answer in time.
    """
    deadline, last = time.monotonic() + seconds, "no answer"
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if key:
        request.add_header("authorization", f"Bearer {key}")
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                text = answer.read()
        except OSError as error:
            last = str(error)
            time.sleep(0.02)
            continue
        return dict(json.loads(text)) if text.startswith(b"{") else {}
    raise Unavailable(f"http://127.0.0.1:{port}{path}: {last}")


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str] | None = None, log: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    with ExitStack() as stack:
        errors = stack.enter_context(log.open("w")) if log else None
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=errors or subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                print(f"{command[0]} did not stop; killed", file=sys.stderr)
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


@contextmanager
def ours(engine_port: int, folder: Path) -> Iterator[MeasuredPath]:
    """Console and node as in production, enrolled for real.

    Raises:
        Unavailable: one of them did not come up; the message names its log.
    """
    raise Unavailable("byoi does not run yet")
    yield
