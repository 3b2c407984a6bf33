"""The images, built and run without a container engine: see image.py, container.py."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

pytestmark = pytest.mark.installer

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 600.0
TMPFS = {"/run/byoi": "1777", "/tmp": "1777"}


def free_port():
    """One of those that the kernel gives to nobody by itself before it is listened at."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    outside = [port for port in range(1024, 65536) if not first <= port <= last]
    while True:
        port = random.SystemRandom().choice(outside or range(first, last + 1))
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


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
            return json.loads(answer.read() or "{}")
    except OSError:
        return None


@pytest.fixture
def engine():
    """A stand-in, which can be held in the midst of an answer; its URL."""
    program = ROOT / "tests" / "fakes" / "engine.py"
    process = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().rpartition(" ")[2].strip()
    process.kill()
    process.wait()
    process.stdout.close()


def like_a_clusters(container):
    """Its volumes as Kubernetes gives them with fsGroup: root's, and a group may write."""
    for place in container.volumes:
        folder = container.volume(place)
        (folder / "lost+found").mkdir()
        os.chown(folder, 0, 10001)
        folder.chmod(0o2775)


@pytest.fixture
def start_console(images, containers):
    """A console from its image, with an administrator's key."""

    def start(prepare=lambda _: None):
        port = free_port()
        variables = {"BYOI_CONSOLE_PORT": str(port)}
        running = containers(images("console"), variables, tmpfs={"/tmp": "1777"})
        prepare(running)
        running.start()
        until(lambda: "console serves at" in running.log(), running.log)
        made = running.run("byoi-console", "admin", "create", "--email", "a@b.c", "--json")
        running.url, running.key = f"http://127.0.0.1:{port}", json.loads(made.stdout)["api_key"]
        return running

    return start


def test_a_node_enrols_serves_and_drains_in_a_container_without_rights(
    images, containers, start_console, engine, tmp_path
):
    console = start_console()
    tokens = f"{console.url}/api/join-tokens"
    token = until(lambda: ask(tokens, console.key, {"uses": 1}), console.log)["token"]
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
    until(agent.is_healthy, agent.log)
    until(console.is_healthy, console.log)
    assert agent.run("touch", "/usr/bin/mine").returncode != 0
    assert agent.run("id", "-u").stdout == "10001\n"
    assert json.loads(agent.run("byoi", "status", "--json").stdout)["is_serving"]
    assert token not in agent.run("cat", "/proc/1/environ", "/proc/2/environ").stdout

    request = {"model": models[0]["id"], "messages": [{"role": "user", "content": "x"}]}
    until(lambda: ask(f"{engine}/hold", "", 3) == {}, agent.log)
    with subprocess.Popen(
        [
            *("curl", "-sS", "--max-time", "600", f"{console.url}/v1/chat/completions"),
            *("-H", f"authorization: Bearer {console.key}", "-H", "content-type: application/json"),
            *("-d", json.dumps({**request, "max_tokens": 40, "stream": True})),
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as asked:
        try:
            until(lambda: (ask(f"{engine}/stats", "") or {}).get("running"), agent.log)
            agent.tell_to_stop()
            until(lambda: "node stops" in agent.log(), agent.log)
            until(lambda: ask(f"{engine}/let_go", "", {}) == {}, agent.log)
            answer = asked.communicate()[0]
        finally:
            asked.kill()
    assert agent.wait() == 0, agent.log()
    assert '"finish_reason":"length"' in answer.replace(" ", ""), answer  # it was let end
    assert agent.stray_files() == []
    assert console.stop() == 0, console.log()
    assert console.stray_files() == []
    assert image.labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_a_node_that_is_to_be_approved_shows_its_code_and_is_well_meanwhile(
    images, containers, start_console
):
    console = start_console(like_a_clusters)
    places = {"/run/byoi": "0777", "/tmp": "0777"}  # what an emptyDir is
    agent = containers(images("agent"), {"BYOI_CONSOLE": console.url}, tmpfs=places)
    like_a_clusters(agent)
    agent.start()
    until(lambda: f"{console.url}/device" in agent.log(), agent.log)
    until(agent.is_healthy, agent.log)
    assert "waits to be enrolled" in agent.run("byoi", "status", "--healthy").stdout
    agent.stop()
    assert not list(agent.volume("/var/lib/byoi").rglob("*.key"))


def test_a_container_without_a_console_says_what_to_give_it(images, containers):
    agent = containers(images("agent"), {}, tmpfs=TMPFS)
    agent.start()
    until(lambda: "BYOI_CONSOLE" in agent.log(), agent.log)
    told = containers(images("agent"), {}, tmpfs=TMPFS)
    told.start("version")
    until(lambda: "0." in told.log(), told.log)


def test_llama_cpp_finds_what_it_is_linked_against(images, containers):
    """It is fetched when it is first wanted, and carries none of these."""
    names = ("libgomp.so.1", "libstdc++.so.6", "libgcc_s.so.1", "libm.so.6")
    loads = f"import ctypes; [ctypes.CDLL(name) for name in {names}]"
    agent = containers(
        replace(images("agent"), entrypoint=("python3", "-c", loads), command=()), {}
    )
    agent.start()
    assert agent.wait() == 0, agent.log()


def test_the_agent_stands_beside_the_python_of_vllms_image(images, containers):
    image = images("agent-vllm")
    assert image.environment["BYOI_VLLM_PYTHON"] == "/usr/bin/python3"
    agent = containers(image, {}, tmpfs=TMPFS)
    agent.start("config", "show")
    until(lambda: "vllm_python" in agent.log(), agent.log)
    assert "/usr/bin/python3" in agent.log()


def test_an_image_is_made_of_the_sources_and_no_secret_beside_them(images, tmp_path):
    """Of what .dockerignore says; what is mounted while a step runs is in no layer either."""
    import image

    root = tmp_path / "checkout"
    for name in (".env", "wire/.env", "wire/byoi_wire/errors.py", "deploy/compose/join-token"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / ".dockerignore").write_text((ROOT / ".dockerignore").read_text())
    subprocess.run(["git", "init", "--quiet", root], check=True)
    image.copy_context(root, tmp_path / "context")
    found = [path for path in (tmp_path / "context").rglob("*") if path.is_file()]
    assert [path.name for path in found] == ["errors.py"]
