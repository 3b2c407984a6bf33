from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest

from byoi_agent.config.paths import demos_folder, resolve
from byoi_agent.config.settings import Settings
from byoi_agent.control.instances import running_demos
from byoi_agent.control.schema import EnginePlace
from byoi_agent.demo import engine, parts, port
from byoi_agent.demo.child import ChildFailed
from byoi_agent.demo.choices import Choices
from byoi_agent.demo.folder import DemoFolder
from byoi_agent.demo.port import Port
from byoi_agent.demo.supervisor import Audience, DemoSupervisor
from byoi_agent.errors import AgentError

# Stands in for both programs: a console that knows one answer, and nodes that only say they serve.
PROGRAM = """#!{python}
import http.server, json, os, pathlib, sys, threading
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
def given(flag): return pathlib.Path(arguments[arguments.index(flag) + 1])
def ready(**content):
    part = given("--ready-file").with_suffix(".part")
    part.write_text(json.dumps(content)); part.replace(given("--ready-file"))
class Door(http.server.BaseHTTPRequestHandler):
    def answer(self, content, kind="application/json"):
        self.send_response(200); self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content))); self.end_headers()
        self.wfile.write(content)
    def do_GET(self): self.answer(b'{{"data": [{{"id": "smol"}}]}}')
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/chat/completions":
            event = json.dumps({{"choices": [{{"delta": {{"content": "Paris"}}}}]}})
            self.answer(f"data: {{event}}\\n\\ndata: [DONE]\\n\\n".encode(), "text/event-stream")
        else:
            self.answer(b'{{"key": "sk-user", "token": "byoi-join-x"}}')
    def log_message(self, *_): pass
if arguments[0] == "admin":
    print(json.dumps({{"email": "e", "password": "p", "api_key": "sk-admin"}}))
elif arguments[0] == "enroll":
    assert os.environ["BYOI_JOIN_TOKEN"] == "byoi-join-x"
    given("--data-dir").mkdir(parents=True)
    identity = given("--data-dir") / "identity.json"
    names = "node_id key_id fingerprint key_store console_key console_key_id origin console_url"
    identity.write_text(json.dumps(dict.fromkeys(names.split(), "x"))); identity.chmod(0o600)
elif name == "byoi-console":
    if str(given("--port")) == "8700": sys.exit("cannot listen on 127.0.0.1 port 8700")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ready(url=f"http://127.0.0.1:{{server.server_port}}", pid=os.getpid()); sys.stdin.read()
else:
    if (given("--data-dir") / "broken").exists(): sys.exit("the engine is broken")
    ready(node_id="n", pid=os.getpid(), control_url="u", control_token="t",
          engine={{"kind": "llamacpp", "pid": 1, "url": "unix:///s"}}); sys.stdin.read()
"""


class Heard(Audience):
    def __init__(self):
        self.asked = []
        self.answer = ""
        self.told = None
        self.up = asyncio.Event()

    def question(self, prompt):
        self.asked.append(prompt)

    def piece(self, text):
        self.answer += text

    def ready(self, ready):
        self.told = ready
        self.up.set()


class Talk:
    def __init__(self):
        self.lines = []
        self.news = asyncio.Event()

    def say(self, text):
        self.lines.append(text)
        self.news.set()

    def progress(self, progress):
        self.lines.append(progress)

    def settle(self):
        pass


@pytest.fixture(autouse=True)
def programs(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("byoi", "byoi-console"):
        (folder / name).write_text(PROGRAM.format(python=sys.executable))
        (folder / name).chmod(0o700)
    monkeypatch.setattr("byoi_agent.demo.child.sys.executable", str(folder / "python"))
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr("byoi_agent.config.paths._is_short", lambda _: True)

    async def fetched(_engine, _model, _paths, report):
        report("fetched")

    monkeypatch.setattr(engine, "fetch_engine", fetched)


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def talk():
    return Talk()


@pytest.fixture
def demo(tmp_path, heard, talk):
    (tmp_path / "demo").mkdir()

    def make(**choices):
        return DemoSupervisor(
            Choices(**choices),
            DemoFolder(tmp_path / "demo"),
            paths=resolve(Settings(data_dir=tmp_path), {}),
            talk=talk,
            audience=heard,
        )

    return make


def signal_ourselves():
    os.kill(os.getpid(), signal.SIGTERM)


async def ended(pid):
    async with asyncio.timeout(60):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.01)


async def test_one_question_is_answered_and_everything_ends(demo, heard, talk, tmp_path):
    assert await demo(once="What is the capital of France?", port=0, nodes=2).run()
    assert heard.asked == ["What is the capital of France?"]
    assert heard.answer == "Paris"
    assert "fetched" in talk.lines
    assert not list(demos_folder({"XDG_RUNTIME_DIR": str(tmp_path / "run")}).iterdir())


@pytest.mark.parametrize("is_taken", [True, False])
async def test_a_usual_port_that_another_demo_took_meanwhile_is_given_up(
    demo, heard, talk, monkeypatch, is_taken
):
    looks = [Port(8700, is_usual_taken=False), Port(0, is_usual_taken=is_taken)]
    monkeypatch.setattr(port, "choose", lambda _: looks.pop(0))
    if is_taken:
        assert await demo(once="x").run()
        assert "Port 8700 is taken, so the console uses a free one." in talk.lines
    else:  # it failed for another reason, which a second try would hide
        with pytest.raises(ExceptionGroup) as caught:
            await demo(once="x").run()
        assert caught.group_contains(ChildFailed, match="cannot listen")


async def test_a_port_that_the_user_chose_is_never_exchanged(demo, talk):
    with pytest.raises(ExceptionGroup) as caught:
        await demo(once="x", port=8700).run()
    assert caught.group_contains(ChildFailed, match="cannot listen")
    assert not [line for line in talk.lines if "is taken" in str(line)]


async def test_it_stays_up_with_its_ready_file_until_a_signal(demo, heard, tmp_path):
    ready_file = tmp_path / "ready.json"
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(demo(port=0, nodes=2, ready_file=ready_file).run())
        await heard.up.wait()
        while not ready_file.exists():
            await asyncio.sleep(0)
        told = json.loads(ready_file.read_text())
        (registered,) = running_demos(os.environ)
        assert ready_file.stat().st_mode & 0o077 == 0
        signal_ourselves()
    assert running.result() is True
    assert told["base_url"].endswith("/v1")
    assert told["model"] == "smol"
    assert told["console"]["admin_api_key"] == "sk-admin"
    assert [node["engine"]["kind"] for node in told["nodes"]] == ["llamacpp", "llamacpp"]
    assert registered.pid == os.getpid()
    for pid in (told["console"]["pid"], *(node["pid"] for node in told["nodes"])):
        await ended(pid)


async def test_the_same_folder_resumes_with_the_same_keys_and_nodes(demo, heard, tmp_path):
    await demo(once="x", port=0).run()
    kept = (tmp_path / "demo" / "demo.json").read_text()
    identity = (tmp_path / "demo" / "nodes" / "1" / "identity.json").stat().st_mtime_ns
    await demo(once="y", port=0).run()
    assert (tmp_path / "demo" / "demo.json").read_text() == kept
    assert (tmp_path / "demo" / "nodes" / "1" / "identity.json").stat().st_mtime_ns == identity
    assert heard.asked == ["x", "y"]


async def test_a_part_that_ends_while_it_starts_is_the_reason_and_everything_ends(demo, tmp_path):
    await demo(once="x", port=0).run()
    (tmp_path / "demo" / "nodes" / "1" / "broken").touch()
    with pytest.raises(ExceptionGroup) as caught:
        await demo(once="y", port=0).run()
    assert caught.group_contains(ChildFailed, match="node 1 ended with code 1 while starting")
    assert caught.group_contains(ChildFailed, match="the engine is broken")


async def test_a_part_that_dies_later_is_told_and_the_others_go_on(demo, heard, talk):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(demo(port=0, nodes=2).run())
        await heard.up.wait()
        talk.news.clear()
        os.kill(heard.told.nodes[0].pid, signal.SIGKILL)
        await talk.news.wait()
        os.kill(heard.told.nodes[1].pid, 0)
        signal_ourselves()
    assert "node 1 was ended by SIGKILL while serving" in talk.lines[-1]
    assert "To start it again:" in talk.lines[-1]


async def test_a_signal_while_it_starts_ends_it_without_an_answer(demo, heard, monkeypatch):
    async def never(*_):
        signal_ourselves()
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(engine, "fetch_engine", never)
    assert await demo(once="x", port=0).run() is False
    assert heard.asked == []


async def test_an_engine_that_cannot_be_had_is_the_reason(demo, monkeypatch):
    async def fails(*_):
        raise AgentError("the index cannot be reached")

    monkeypatch.setattr(engine, "fetch_engine", fails)
    with pytest.raises(ExceptionGroup) as caught:
        await demo(once="x", port=0).run()
    assert caught.group_contains(AgentError, match="the index cannot be reached")


class Shared:
    """The engine of all nodes, as `SharedEngine` has it."""

    url = "unix:///run/shared.sock"
    place = EnginePlace(kind="vllm", pid=7, url=url)

    def __init__(self):
        self.ready = asyncio.Event()
        self.life = []

    async def run(self):
        self.life.append("started")
        self.ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.life.append("ended")

    async def until_ready(self):
        await self.ready.wait()


async def test_several_nodes_attach_to_one_vllm_that_ends_with_them(demo, heard, talk, monkeypatch):
    shared, commands = Shared(), []
    real = parts.node_child

    def node_child(folder, number, url, choices):
        child = real(folder, number, url, choices)
        commands.append(child.command)
        return child

    monkeypatch.setattr(parts, "node_child", node_child)
    monkeypatch.setattr(engine, "provenance_of", lambda *_: "It is a private person's build.")
    monkeypatch.setattr(engine, "shared_engine", lambda *_: shared)
    running = asyncio.ensure_future(demo(engine="vllm", nodes=2, port=0).run())
    await heard.up.wait()
    assert [node.engine for node in heard.told.nodes] == [Shared.place] * 2
    assert [command[command.index("--engine") + 1] for command in commands] == [Shared.url] * 2
    assert shared.life == ["started"]
    signal_ourselves()
    assert await running
    assert shared.life == ["started", "ended"]
    assert "It is a private person's build." in talk.lines


async def test_one_node_manages_its_vllm_itself(demo, talk, monkeypatch):
    monkeypatch.setattr(engine, "provenance_of", lambda *_: None)
    assert await demo(engine="vllm", once="x", port=0).run()
    assert any("Starting 1 node with its engine" in str(line) for line in talk.lines)
    assert any("vLLM takes a minute" in str(line) for line in talk.lines)
