"""The bench's own tools: a figure is worth what they are."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
NOTICED_SECONDS = 60.0
TRIES = 6

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or not sys.platform.startswith("linux"),
    reason="needs a C compiler and epoll; on Debian and Ubuntu: apt install gcc libc6-dev",
)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    for name in ("engine", "load"):
        source = BENCHMARKS / f"{name}.c"
        command = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", folder / name, source]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture
def engine_port(programs: Path):
    command = [programs / "engine", "--port", "0", "--rate", "200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as engine:
        try:
            assert engine.stdout
            yield int(engine.stdout.readline().split()[-1])
        finally:
            engine.kill()


def ask(port: int, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=60) as answer:
        return json.loads(answer.read())


def load(programs: Path, port: int, *options: str) -> dict[str, object]:
    command = [programs / "load", "--port", str(port), "--warm", "0.1", "--window", "0.3", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("model", ["step", "spread", "fast"])
def test_every_answer_of_the_engine_is_whole_in_the_loads_eyes(programs, engine_port, model):
    seen = load(programs, engine_port, "--model", model, "--streams", "8", "--tokens", "20")
    assert seen["chunks"] > 0
    assert [seen[name] for name in ("broken", "refused", "unfinished")] == [0, 0, 0]
    assert ask(engine_port, "/stats")["running"] == 0


def test_a_paced_stream_is_never_ahead_of_its_pace(programs, engine_port):
    # Behind a moment in which the machine stood still all comes at once: but not each time.
    shares = []
    while not shares or not 0 < shares[-1] <= 1.2:
        assert len(shares) < TRIES, shares
        seen = load(programs, engine_port, "--model", "spread", "--streams", "4", "--tokens", "90")
        shares.append(seen["chunks"] / (4 * 200 * seen["seconds"]))


def test_an_unknown_model_counts_as_refused(programs, engine_port):
    assert load(programs, engine_port, "--model", "nobody")["refused"] == 1


def test_a_whole_answer_counts_its_tokens(engine_port):
    body = {"model": "fast", "max_tokens": 3, "messages": []}
    answer = ask(engine_port, "/v1/chat/completions", body)
    assert answer["choices"][0]["message"]["content"] == " token token token"
    assert answer["usage"]["completion_tokens"] == 3


def test_a_client_that_leaves_is_noticed(engine_port):
    body = {"model": "step", "max_tokens": 100_000, "stream": True}
    request = urllib.request.Request(
        f"http://127.0.0.1:{engine_port}/v1/chat/completions", json.dumps(body).encode()
    )
    with contextlib.closing(urllib.request.urlopen(request, timeout=60)) as answer:
        assert answer.readline().startswith(b"data: ")
        assert ask(engine_port, "/stats")["running"] == 1
    until = time.monotonic() + NOTICED_SECONDS
    while not (stats := ask(engine_port, "/stats"))["aborted"] and time.monotonic() < until:
        time.sleep(0.01)
    assert (stats["running"], stats["aborted"]) == (0, 1)
