"""The images, built and run without a container engine: see image.py, container.py."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.installer, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 60.0
TMPFS = {"/run/byoi": "1777", "/tmp": "1777"}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(condition, what):
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)
    return found


def ask(url, key, body=None):
    request = urllib.request.Request(
        url,
        None if body is None else json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.URLError:
        return None


@pytest.fixture
def engine():
    """A stand-in that takes a second for an answer; its URL."""
    program = ROOT / "tests" / "fakes" / "engine.py"
    process = subprocess.Popen(
        [sys.executable, program, "--rate", "10"], stdout=subprocess.PIPE, text=True
    )
    yield process.stdout.readline().rpartition(" ")[2].strip()
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def console(images, containers):
    """A console from its image, with an administrator's key."""
    port = free_port()
    running = containers(
        images("console"), {"BYOI_CONSOLE_PORT": str(port)}, tmpfs={"/tmp": "1777"}
    )
    running.start()
    until(lambda: "console serves at" in running.log(), running.log)
    made = running.run("byoi-console", "admin", "create", "--email", "a@b.c", "--json")
    running.url, running.key = f"http://127.0.0.1:{port}", json.loads(made.stdout)["api_key"]
    return running


def test_a_node_enrols_serves_and_drains_in_a_container_without_rights(
    images, containers, console, engine, tmp_path
):
    token = ask(f"{console.url}/api/join-tokens", console.key, {"uses": 1})["token"]
    (tmp_path / "token").write_text(token)
    os.chown(tmp_path / "token", 10001, 10001)
    image = images("agent")
    agent = containers(
        image,
        {"BYOI_CONSOLE": console.url, "BYOI_ENGINE": f"{engine}/v1"},
        binds={"/run/secrets/join-token": tmp_path / "token"},
        tmpfs=TMPFS,
    )
    agent.start()
    models = until(
        lambda: (ask(f"{console.url}/v1/models", console.key) or {}).get("data"), agent.log
    )
    assert agent.is_healthy()
    assert console.is_healthy()
    assert agent.run("touch", "/usr/bin/mine").returncode != 0
    assert agent.run("id", "-u").stdout == "10001\n"
    assert json.loads(agent.run("byoi", "status", "--json").stdout)["is_serving"]
    assert token not in agent.run("cat", "/proc/1/environ", "/proc/2/environ").stdout

    request = {"model": models[0]["id"], "messages": [{"role": "user", "content": "x"}]}
    asked = subprocess.Popen(
        [
            *("curl", "-sS", "--max-time", "60", f"{console.url}/v1/chat/completions"),
            *("-H", f"authorization: Bearer {console.key}", "-H", "content-type: application/json"),
            *("-d", json.dumps({**request, "max_tokens": 20})),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    status = lambda: json.loads(agent.run("byoi", "status", "--json").stdout)  # noqa: E731
    until(lambda: status()["running"], agent.log)
    assert agent.stop(60) == 0, agent.log()
    answer = json.loads(asked.communicate(timeout=60)[0])
    assert answer["choices"][0]["finish_reason"] == "length", "the answer under way was let end"
    assert agent.stray_files() == []
    assert console.stop(60) == 0, console.log()
    assert console.stray_files() == []
    assert image.labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_a_node_that_is_to_be_approved_shows_its_code_and_is_well_meanwhile(
    images, containers, console
):
    agent = containers(images("agent"), {"BYOI_CONSOLE": console.url}, tmpfs=TMPFS)
    agent.start()
    until(lambda: f"{console.url}/device" in agent.log(), agent.log)
    assert agent.is_healthy()
    assert "waits to be enrolled" in agent.run("byoi", "status", "--healthy").stdout
    agent.stop(20)
    assert not list(agent.volume("/var/lib/byoi").rglob("*.key"))


def test_a_container_without_a_console_says_what_to_give_it(images, containers):
    agent = containers(images("agent"), {}, tmpfs=TMPFS)
    agent.start()
    until(lambda: "BYOI_CONSOLE" in agent.log(), agent.log)
    told = containers(images("agent"), {}, tmpfs=TMPFS)
    told.start("version")
    until(lambda: "0." in told.log(), told.log)
