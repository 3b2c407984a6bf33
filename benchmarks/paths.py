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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"


class Unavailable(Exception):
    """This path cannot be measured here; the message says why and what to do."""


@dataclass(frozen=True)
class MeasuredPath:
    """Where to knock, and whose CPU and memory the knock costs: `roots` and all below them."""

    name: str
    port: int
    roots: tuple[int, ...] = ()
    key: str = ""


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
        newest = max(file.stat().st_mtime for file in (source, *HERE.glob("*.h")))
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
            process = stack.enter_context(_running(command))
            roots.append(process.pid)
            next_port = port
            _wait_for(port, "/health", process)
        yield MeasuredPath("nginx→nginx", next_port, tuple(roots))


@contextmanager
def ours(engine_port: int, folder: Path) -> Iterator[MeasuredPath]:
    """Console and node as in production: enrolled, policy, metering, ledger and logs on.

    Raises:
        Unavailable: one of them did not come up; the message ends with its log.
    """
    port, environment = free_port(), _clean_environment(folder)
    console_data, node_data = str(folder / "console"), str(folder / "node")
    url, programs = f"http://127.0.0.1:{port}", Path(sys.executable).parent
    console, node = str(programs / "byoi-console"), str(programs / "byoi")
    create = [console, "admin", "create", "--data-dir", console_data]
    made = _output([*create, "--email", "bench@example.org", "--json"], environment)
    admin = json.loads(made)["api_key"]
    serve = [console, "serve", "--port", str(port), "--data-dir", console_data]
    with ExitStack() as stack:
        logs = folder / "console.log", folder / "node.log"
        try:
            serving = stack.enter_context(_running(serve, environment, logs[0]))
            _wait_for(port, "/readyz", serving)
            key = str(_ask(port, "/api/keys", {"name": "bench"}, key=admin)["key"])
            token = str(_ask(port, "/api/join-tokens", {}, key=admin)["token"])
            enrol = [node, "enroll", "--console", url, "--data-dir", node_data]
            _output([*enrol, "--key-store", "file"], environment | {"BYOI_JOIN_TOKEN": token})
            run = [node, "run", "--data-dir", node_data, "--slots", "4096"]
            run += ["--engine", f"http://127.0.0.1:{engine_port}"]
            running = stack.enter_context(_running(run, environment, logs[1]))
            _wait_for(
                port, "/v1/models", running, key=key, until=lambda answer: bool(answer.get("data"))
            )
        except (OSError, Unavailable) as problem:
            ends = "".join(log.read_text()[-1500:] for log in logs if log.exists())
            raise Unavailable(f"byoi did not come up: {problem}\n{ends}") from problem
        yield MeasuredPath("byoi", port, (serving.pid, running.pid), key)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def _wait_for(
    port: int,
    path: str,
    process: subprocess.Popen[str],
    *,
    key: str = "",
    until: Callable[[dict[str, object]], bool] = lambda _: True,
) -> None:
    """Until an answer is good.

    Raises:
        Unavailable: none was within 20 seconds, or the process has ended.
    """
    deadline, last = time.monotonic() + 20, "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if until(answer := _ask(port, path, key=key)):
                return
            last = str(answer)
        except OSError as error:
            last = str(error)
        time.sleep(0.02)
    raise Unavailable(f"http://127.0.0.1:{port}{path}: {last}")


def _ask(
    port: int, path: str, body: dict[str, object] | None = None, *, key: str = ""
) -> dict[str, object]:
    """One answer as JSON; an empty object where it is none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data)
    request.add_header("content-type", "application/json")
    if key:
        request.add_header("authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=5) as answer:
        text = answer.read()
    return dict(json.loads(text)) if text.startswith(b"{") else {}


def _clean_environment(folder: Path) -> dict[str, str]:
    """No setting of this machine's own byoi reaches the measured one."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("BYOI_")}
    return kept | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}


def _output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a command prints.

    Raises:
        Unavailable: it failed; the message is its last words.
    """
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(command[:2])}: {done.stderr.strip()[-500:]}")
    return done.stdout


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
