from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from byoi_agent.engine.kinds.llamacpp import RUNTIME, LlamaCpp
from byoi_agent.engine.kinds.probes import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES
from byoi_agent.engine.process import Ended
from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.models.catalogue import DEFAULT_MODEL, find
from byoi_agent.models.resolve import look_into

OK = (200, {"choices": [{"index": 0}]})


class Ready:
    """Runtimes and models that are all here."""

    def __init__(self, path):
        self.path = path
        self.asked = []

    async def ensure(self, what, report):
        self.asked.append(what)
        return Path(self.path)


@pytest.fixture
def kind(socket_folder):
    def make(**settings):
        settings.setdefault("socket_path", socket_folder / "e.sock")
        return LlamaCpp(
            find(DEFAULT_MODEL),
            runtimes=Ready("/env/bin/python"),
            store=Ready("/models/a.gguf"),
            **settings,
        )

    return make


async def test_it_is_started_in_its_own_environment_with_the_catalogues_settings(
    kind, socket_folder
):
    it = kind(slots=2, context_tokens=512, threads=3)
    spec = await it.prepare(lambda _: None)
    python, isolated, script, options = spec.argv
    assert (python, isolated) == ("/env/bin/python", "-I")
    assert Path(script).is_file()
    given = json.loads(options)
    entry = find(DEFAULT_MODEL)
    assert given == {
        "model_path": "/models/a.gguf",
        "model_id": "smollm2-135m-instruct",
        "socket_path": str(socket_folder / "e.sock"),
        "slots": 2,
        "context_tokens": 512,
        "threads": 3,
        "chat_template": entry.chat_template,
        "sampling": entry.sampling,
    }
    assert spec.environment["OMP_WAIT_POLICY"] == "PASSIVE"


def test_defaults_fit_a_small_machine(kind):
    given = kind(context_tokens=10**6).serve_options(Path("a"))
    assert given["slots"] == 4
    assert given["context_tokens"] == 8192
    assert 1 <= given["threads"] <= (os.cpu_count() or 1)


@pytest.mark.parametrize("path", ["/run/" + "a" * 100 + ".sock", "/run/engine.socket"])
def test_a_socket_that_llamacpp_could_not_make_is_refused(kind, path):
    with pytest.raises(ConfigError, match=r"short path in \.sock"):
        kind(socket_path=Path(path))


def test_its_runtime_is_pinned_by_name_and_hash():
    first, *hashes = RUNTIME.requirements.split(" \\\n    ")
    assert first == f"xllamacpp=={RUNTIME.version}"
    assert len(hashes) > 5
    assert all(line.startswith("--hash=sha256:") for line in hashes)
    assert "://" not in RUNTIME.requirements


async def test_it_is_ready_when_it_is_healthy_lists_its_model_and_computes(kind, engine):
    it = kind(context_tokens=1024)
    with pytest.raises(EngineError, match="/health"):
        await it.discover(engine.client)
    engine.table["/health"] = (200, {"status": "ok"})
    engine.table["/v1/models"] = (200, {"data": []})
    with pytest.raises(EngineError, match="does not list"):
        await it.discover(engine.client)
    engine.table["/v1/models"] = (200, {"data": [{"id": DEFAULT_MODEL}]})
    with pytest.raises(EngineError, match="404"):
        await it.discover(engine.client)
    engine.table[CHAT] = OK
    (served,) = await it.discover(engine.client)
    assert served.id == served.engine_id == DEFAULT_MODEL
    assert served.routes == (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES)
    assert served.context_tokens == 1024
    assert await it.look(engine.client) == (served,)


@pytest.mark.parametrize(
    ("code", "log", "reason"),
    [
        (1, ("ModuleNotFoundError: No module named 'xllamacpp'",), "environment is damaged"),
        (1, ("E llama: failed to load model", "RuntimeError"), "file cannot be loaded"),
        (1, ("ggml: failed to allocate buffer", "x"), "not enough memory"),
        (1, ("E srv: couldn't bind HTTP server socket",), "socket cannot be made"),
        (-9, ("something",), "killed (signal 9)"),
        (3, ("first", "last words", ""), "ended with code 3: last words"),
        (None, (), "ended with code None: it wrote nothing"),
    ],
)
def test_known_failures_are_told_in_a_sentence(kind, code, log, reason):
    assert reason in kind().explain(Ended(code, log))


def test_no_field_that_steers_the_engine_may_reach_it(kind):
    it = kind()
    assert "top_k" in it.extra_fields
    assert not it.extra_fields & {
        *("n_discard", "cache_prompt", "id_slot", "grammar", "chat_template", "n_probs", "lora"),
        *("chat_template_kwargs", "samplers", "speculative", "n_keep", "post_sampling_probs"),
    }
    assert it.translate_error(500, b"")[0] == 502


def test_the_script_needs_nothing_of_ours():
    script = Path(sys.modules[LlamaCpp.__module__].__file__).with_name("serve_llamacpp.py")
    assert "byoi" not in script.read_text()
    assert signal.SIGTERM.name in script.read_text()


@pytest.mark.parametrize(("system", "fits"), [("linux", False), ("darwin", True)])
def test_only_a_mac_pays_for_fitting_the_model_to_a_gpu(monkeypatch, kind, system, fits):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setitem(sys.modules, "xllamacpp", MagicMock())
    script = Path(sys.modules[LlamaCpp.__module__].__file__).with_name("serve_llamacpp.py")
    given = runpy.run_path(str(script))["parameters"](kind().serve_options(Path("/m.gguf")))
    assert given.fit_params is fits


async def test_a_gguf_of_the_owners_is_looked_at_again_before_each_load(
    hubs, socket_folder, tmp_path
):
    file = tmp_path / "own.gguf"
    file.write_bytes(hubs.gguf())
    it = LlamaCpp(
        look_into(file),
        runtimes=Ready("/env/bin/python"),
        store=Ready("/never"),
        socket_path=socket_folder / "e.sock",
        context_tokens=9000,
    )
    given = json.loads((await it.prepare(lambda _: None)).argv[-1])
    assert given["model_path"] == str(file)
    assert given["context_tokens"] == 4096
    assert (given["chat_template"], given["sampling"]) == (None, {})
    file.write_bytes(b"GGUF but not for long")
    with pytest.raises(ConfigError, match="no sound GGUF"):
        await it.prepare(lambda _: None)


async def test_where_there_are_no_unix_sockets_it_listens_on_loopback_for_whoever_has_the_key(kind):
    it, other = kind(on_loopback=True), kind(on_loopback=True)
    spec = await it.prepare(lambda _: None)
    given = json.loads(spec.argv[3])
    assert it.address.is_local
    assert it.address.url == f"http://127.0.0.1:{given['port']}"
    assert spec.environment["BYOI_ENGINE_KEY"] == it.address.api_key
    assert it.address.api_key not in " ".join(spec.argv)
    assert len(it.address.api_key) > 40
    assert it.address.api_key != other.address.api_key
