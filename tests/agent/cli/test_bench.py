from __future__ import annotations

import asyncio
import errno
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from byoi_agent.bench import course, supervisor
from byoi_agent.bench.kept import Kept
from byoi_agent.cli import bench_run, bench_target
from byoi_agent.cli.bench_target import Place
from byoi_agent.cli.main import EXIT_INTERRUPTED, EXIT_UNAVAILABLE, EXIT_USAGE
from byoi_agent.cli.options import choose
from byoi_agent.config.lock import StateLock
from byoi_agent.config.settings import Settings
from byoi_agent.config.tables import ModelSetting
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schema import EngineStatus
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.entries import Entry
from byoi_agent.engine.kinds.attached import Attached
from byoi_agent.errors import AgentError
from byoi_agent.hardware.devices import DeviceReading, ProbeReading
from byoi_wire.offers import ModelOffer

FAKE_ENGINE = Path(__file__).resolve().parents[2] / "fakes" / "engine.py"
QUICK = (
    "--concurrency", "1,2", "--seconds", "0.1", "--output-tokens", "4", "--prompt-tokens", "20",
)  # fmt: skip
CHAT = ("/v1/chat/completions",)
TRIES = 4


class FakeEngine:
    """The stand-in, as a program; `control` changes how it answers."""

    def __init__(self, *flags):
        program = [sys.executable, str(FAKE_ENGINE), "--port", "0", *flags]
        self.process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split()[-1]

    def control(self, **behaviour):
        self._ask("/control", json.dumps(behaviour).encode())

    def requests(self):
        return self._ask("/requests")

    def _ask(self, path, body=None):
        with urllib.request.urlopen(self.url + path, body, timeout=60) as answer:
            return json.load(answer)

    def end(self):
        self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def started():
    engine = FakeEngine("--rate", "200", "--models", "smol,other")
    yield engine
    engine.end()


@pytest.fixture
def engine(started, monkeypatch):
    """Whoever measures it waits for its answers, however slow this machine is."""
    for room in (course, supervisor):
        monkeypatch.setattr(room, "PATIENCE", 1000)
    yield started
    started.control(fault="", tokens_per_second=200, first_token_seconds=0)


@dataclass
class Kind:
    """An engine kind, as far as it is chosen by."""

    name: str
    offers: tuple = ()


class Node:
    """A running node with that engine, which goes through these states; `others` stand beside."""

    def __init__(self, url, *states, running=0, models=("smol", "other"), others=()):
        self.url = url
        self.states = list(states) or ["ready"]
        self.running = running
        self.models = models
        self.others = others
        self.orders = []

    def status(self):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        engine = self._engine(state)
        facts = {"node_id": "n1", "running": self.running, "waiting": 0, "slots": 4}
        engines = (*self.others, engine) if self.others else ()
        facts |= {"engine": None if state == "none" else engine, "engines": engines}
        return type("Report", (), facts)

    def _engine(self, state):
        return EngineStatus(
            state=state, kind="llamacpp", version="7", url=self.url, slots=4, reason="why",
            models=self.models if self.others or state == "ready" else (), key=self.models[0],
        )  # fmt: skip

    def offer(self):
        models = tuple(
            ModelOffer(id=name, engine="llamacpp", routes=CHAT, context_tokens=2048)
            for name in self.models
        )
        return type("Offer", (), {"models": models})

    def wake(self, model=None):
        self.orders.append(("wake", model))

    def keep_measured(self, order):
        self.orders.append(order)


@pytest.fixture
def with_node(monkeypatch):
    """Puts a node in the place of the one that would be looked for."""

    def put(node):
        for name in ("status", "offer", "wake", "keep_measured"):
            answer = getattr(node, name)
            monkeypatch.setattr(ControlClient, name, lambda _, *given, to=answer: to(*given))
        found = Instances((Instance(ControlClient(socket_path="/none")),), "data_dir")
        monkeypatch.setattr(bench_target, "find", lambda *_, **__: found)
        monkeypatch.setattr(bench_target, "_LOOK_SECONDS", 0.0)
        return node

    return put


def test_a_server_is_measured_and_told_as_a_table_bars_and_a_diagram(byoi, engine, tmp_path):
    picture = tmp_path / "bench.svg"
    code, out, err = byoi("bench", "--url", engine.url, *QUICK, "--no-knee", "--svg", picture)
    assert code == 0
    assert "at once" in out
    assert "█" in out
    assert "knee" in out
    assert "energy    not measured" in out
    assert "kept" not in out, "nobody serves it here"
    *figures, last = out.splitlines()
    assert max(map(len, figures)) <= 80
    assert last == f"The diagram is in {picture}.", "a path in two lines cannot be copied"
    assert "\x1b" not in out
    assert "measuring concurrency 2" in err
    assert picture.read_text().startswith("<svg")


def test_the_running_nodes_engine_is_measured_and_the_node_told(byoi, engine, with_node):
    node = with_node(Node(engine.url, running=2))
    code, out, _ = byoi("bench", "other", *QUICK, "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["model"], report["engine"], report["slots"]) == ("other", "llamacpp 7", 4)
    assert report["is_whole"]
    assert report["is_kept"]
    assert report["joules_per_token"] is None
    assert report["levels"][0]["completion_tokens_p50"] == 4
    assert report["levels"][0]["prompt_tokens_p50"] == pytest.approx(20, abs=3)
    assert any("2 requests of guests" in note for note in report["notes"])
    (order,) = node.orders
    assert order.model == "other"
    assert order.measured.knee_concurrency == report["knee_concurrency"]
    assert {body["body"]["model"] for body in engine.requests()[-20:]} == {"other"}


def test_what_was_found_is_not_kept_where_the_owner_says_so(byoi, engine, with_node):
    node = with_node(Node(engine.url))
    code, out, _ = byoi("bench", *QUICK, "--no-knee", "--no-keep", "--json")
    assert (code, json.loads(out)["is_kept"], node.orders) == (0, False, [])


def test_an_engine_that_sleeps_is_woken(byoi, engine, with_node):
    node = with_node(Node(engine.url, "asleep", "starting", "ready"))
    code, _, err = byoi("bench", "smol", *QUICK, "--no-knee", "--no-keep")
    assert (code, node.orders) == (0, [("wake", None)])
    assert "the engine is starting" in err


def test_of_several_engines_that_of_the_model_is_loaded_and_measured(byoi, engine, with_node):
    ready = EngineStatus(
        state="ready", kind="vllm", url="http://127.0.0.1:9", models=("big",), key="big", slots=8
    )
    node = with_node(Node(engine.url, "stopped", "starting", "ready", others=(ready,)))
    code, out, _ = byoi("bench", "other", *QUICK, "--no-knee", "--no-keep", "--json")
    report = json.loads(out)
    assert (code, node.orders) == (0, [("wake", "smol")])
    assert (report["model"], report["engine"]) == ("other", "llamacpp 7")


@pytest.mark.parametrize(
    ("states", "code", "words"),
    [(("failed",), EXIT_UNAVAILABLE, "failed: why"), (("none",), 1, "no engine")],
)
def test_an_engine_that_cannot_serve_is_told(byoi, with_node, states, code, words):
    with_node(Node("http://127.0.0.1:9", *states))
    found, _, err = byoi("bench", *QUICK)
    assert found == code
    assert words in err


def test_a_model_that_the_node_does_not_serve_is_told_with_those_that_it_does(
    byoi, engine, with_node
):
    with_node(Node(engine.url))
    code, _, err = byoi("bench", "llama", *QUICK)
    assert code == 1
    assert "smol, other" in err


def test_where_no_node_runs_the_settings_engine_is_started_measured_and_kept(
    byoi, engine, monkeypatch, tmp_path
):
    kind = Attached(EngineAddress.parse(engine.url), model="smol", slots=2)
    monkeypatch.setattr(bench_target, "engine_kind", lambda *_: kind)
    code, out, err = byoi("bench", "--data-dir", tmp_path / "data", *QUICK, "--no-knee")
    assert code == 0, err
    assert "no node runs here" in err
    assert "kept      for smol on attached stand-in" in out
    ((model, name),) = Kept(tmp_path / "data" / "measured.json").all
    assert (model, name) == ("smol", "attached stand-in")


@pytest.mark.parametrize(
    ("arguments", "started"), [((), "first"), (("second",), "second"), (("gone",), "gone")]
)
def test_of_several_models_in_the_settings_the_named_one_is_started(
    monkeypatch, tmp_path, arguments, started
):
    kinds = {name: Kind(name) for name in ("first", "second")}
    entries = [Entry(name, kind, Settings()) for name, kind in kinds.items()]
    monkeypatch.setattr(bench_target, "entries_of", lambda *_: entries)
    monkeypatch.setattr(bench_target, "engine_kind", lambda settings, _: Kind(settings.model))
    chosen = choose({"data_dir": str(tmp_path)})
    several = chosen.settings.model_copy(update={"models": (ModelSetting(model="first"),)})
    chosen = chosen._replace(loaded=replace(chosen.loaded, values=several))
    place = Place(chosen, {}, *arguments)
    assert place._own_kind().name == started


def test_a_second_one_does_not_start_another_engine(byoi, tmp_path):
    (tmp_path / "data").mkdir(mode=0o700)
    with StateLock(tmp_path / "data" / "byoi.lock"):
        code, _, err = byoi("bench", "--data-dir", tmp_path / "data", *QUICK)
    assert code == EXIT_UNAVAILABLE
    assert "already running" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--concurrency", "1,x"), "like 1,8,32"),
        (("--concurrency", "0"), "from 1 to 1024"),
        (("--concurrency", ""), "like 1,8,32"),
        (("--concurrency", "9" * 5000), "from 1 to 1024"),
        (("--output-tokens", "1"), "not in the range"),
        (("--url", "http://127.0.0.1:9", "--engine", "vllm"), "--engine is for an engine"),
    ],
)
def test_a_wrong_command_line_is_told(byoi, arguments, words):
    code, _, err = byoi("bench", *arguments)
    assert code == EXIT_USAGE
    assert words in err.replace("\n", " ")


def test_flags_of_an_engine_are_refused_where_one_runs(byoi, engine, with_node):
    with_node(Node(engine.url))
    code, _, err = byoi("bench", *QUICK, "--slots", "2")
    assert code == EXIT_USAGE
    assert "measured as it is" in err


def test_a_server_that_is_not_there_or_lacks_the_model_is_told(byoi, engine):
    assert byoi("bench", "--url", "http://127.0.0.1:9")[0] == EXIT_UNAVAILABLE
    code, _, err = byoi("bench", "llama", "--url", engine.url)
    assert code == EXIT_UNAVAILABLE
    assert "does not list llama" in err


def test_a_diagram_that_cannot_be_written_is_told_before_anything_is_measured(byoi, tmp_path):
    code, _, err = byoi("bench", "--svg", tmp_path / "none" / "bench.svg")
    assert code == 78
    assert "--svg: there is no folder" in err


def test_figures_are_told_also_where_the_disk_does_not_take_the_diagram(byoi, engine, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)
    code, out, err = byoi("bench", "--url", engine.url, *QUICK, "--no-knee", "--svg", "bench.svg")
    assert code == 1
    assert "tokens/s each" in out
    assert "bench.svg: No space left on device; make room there" in err.replace("\n", " ")


async def test_waiting_for_an_engine_ends_at_once_when_it_is_given_up(with_node):
    with_node(Node("http://127.0.0.1:9", "starting"))
    told = asyncio.Event()
    place = Place(choose({}), {})
    node = ControlClient(socket_path="/none")
    waiting = asyncio.create_task(place._ready(node, lambda _: told.set()))
    await told.wait()
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


class Card:
    """It draws 100 W all the time."""

    async def read(self):
        joules = time.monotonic() * 100
        return ProbeReading((DeviceReading(0, "nvidia", "card", energy_joules=joules),))


def test_a_card_counts_for_who_computes_on_it_and_not_for_llama_cpp_beside_it(
    byoi, engine, with_node, monkeypatch
):
    monkeypatch.setattr(bench_run, "machine_probe", Card)
    quick = (*QUICK, "--no-knee", "--no-keep", "--json")
    _, out, _ = byoi("bench", "--url", engine.url, *quick)
    assert json.loads(out)["joules_per_token"] > 0
    with_node(Node(engine.url))
    _, out, _ = byoi("bench", *quick)
    assert json.loads(out)["joules_per_token"] is None


def test_too_few_answers_are_no_report(byoi, engine, with_node, monkeypatch):
    node = with_node(Node(engine.url))
    engine.control(tokens_per_second=20)
    monkeypatch.setattr(course, "PATIENCE", 12)
    slow = ("--concurrency", "1", "--seconds", "0.1", "--output-tokens", "12", "--no-knee")
    code, out, err = byoi("bench", *slow)
    assert (code, out, node.orders) == (1, "", [])
    assert "too few answers came" in err
    assert "--seconds" in err


def test_a_node_that_cannot_keep_it_is_told(byoi, engine, with_node, monkeypatch):
    with_node(Node(engine.url))

    def refuse(*_):
        raise AgentError("the node refused: make room")

    monkeypatch.setattr(ControlClient, "keep_measured", refuse)
    code, out, _ = byoi("bench", *QUICK, "--no-knee", "--json")
    report = json.loads(out)
    assert (code, report["is_kept"]) == (0, False)
    assert any("make room" in note for note in report["notes"])


def in_a_terminal(engine, *arguments, interrupt_at=None, **environment):
    """What a terminal of 80 columns got to show, and the exit code."""
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (40, 80))
    main = "from byoi_agent.cli.main import main; main()"
    program = [sys.executable, "-c", main, "bench", "--url", engine.url]
    running = subprocess.Popen(
        [*program, *arguments],
        stdin=inner, stdout=inner, stderr=inner,
        env={**os.environ, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(inner)
    shown, deadline = b"", time.monotonic() + 200
    while time.monotonic() < deadline:
        if select.select([outer], [], [], 0.2)[0]:
            try:
                shown += os.read(outer, 65536)
            except OSError:
                break
        if interrupt_at is not None and interrupt_at in shown:
            running.send_signal(signal.SIGINT)
            interrupt_at = None
    os.close(outer)
    return running.wait(timeout=60), shown.decode()


@pytest.mark.slow
def test_ctrl_c_shows_what_is_known_by_then(engine):
    code, shown = in_a_terminal(
        engine, "--seconds", "3", "--concurrency", "1,64", "--output-tokens", "60",
        interrupt_at=b"measuring concurrency 64",
    )  # fmt: skip
    assert code == EXIT_INTERRUPTED
    assert "stopped early: nothing is kept" in shown
    assert "tokens/s each" in shown
    assert "Traceback" not in shown


@pytest.mark.slow
def test_a_terminal_without_blocks_or_colours_gets_plain_characters(engine):
    code, shown = in_a_terminal(engine, *QUICK, "--no-knee", NO_COLOR="1", PYTHONIOENCODING="ascii")
    assert code == 0
    assert "####" in shown
    assert shown.isascii()
    assert "\x1b[3" not in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert max(len(line.rstrip("\r")) for line in plain.split("\n")) <= 80


@pytest.mark.slow
def test_a_real_run_finds_the_rates_that_the_engine_was_given(byoi, engine):
    engine.control(tokens_per_second=50, first_token_seconds=0.2)
    tried = []
    for _ in range(TRIES):
        code, out, _ = byoi(
            "bench", "--url", engine.url, "--concurrency", "1,4", "--seconds", "4",
            "--output-tokens", "20", "--no-knee", "--json",
        )  # fmt: skip
        alone, four = json.loads(out)["levels"]
        assert code == 0
        # A sleep never ends early: on this side the figures lie on any machine.
        assert alone["first_token_ms_p50"] >= 200
        assert alone["request_tokens_per_second"] <= 51
        assert alone["tokens_per_second"] < 20 / 0.58
        # And late on a busy one: how near they are is seen when it has nothing else to do.
        tried.append(
            alone["first_token_ms_p50"] < 400
            and alone["request_tokens_per_second"] > 30
            and alone["tokens_per_second"] > 20
            and four["tokens_per_second"] > 2.5 * alone["tokens_per_second"]
        )
        if tried[-1]:
            break
    assert tried[-1], (alone, four)
