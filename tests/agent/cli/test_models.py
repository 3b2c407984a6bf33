from __future__ import annotations

import asyncio
import json
import tomllib

import pytest

from byoi_agent.cli import models as module
from byoi_agent.cli import models_serve, pull_talk
from byoi_agent.config.paths import resolve
from byoi_agent.config.settings import Settings
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schema import ReloadReport
from byoi_agent.models.catalogue import DEFAULT_MODEL
from byoi_agent.models.store import Store
from byoi_agent.models.wheels import Progress

REPO = "owner/Tiny-GGUF"


@pytest.fixture
def call(byoi, tmp_path, monkeypatch, hub):
    """The command with folders of its own, beside the hub that the test runs."""
    monkeypatch.setenv("BYOI_HUB", hub.url)
    monkeypatch.setenv("BYOI_RUNTIME_DIR", "/tmp/byoi-none")  # short enough; nothing is made there
    monkeypatch.setenv("BYOI_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("byoi_agent.models.hub_client.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("byoi_agent.models.pull._MARGIN_BYTES", 0)

    async def call(*arguments):
        where = ("--data-dir", str(tmp_path / "data"))
        return await asyncio.to_thread(byoi, "models", *arguments, *where)

    return call


@pytest.fixture
def config(tmp_path):
    def read():
        file = tmp_path / "data" / "config.toml"
        return tomllib.loads(file.read_text()) if file.exists() else {}

    return read


@pytest.fixture
def store(tmp_path):
    return Store(resolve(Settings(cache_dir=tmp_path / "cache"), {}).models_folder)


@pytest.fixture
def tiny(hub, hubs):
    return hub.add(REPO, {name: hubs.gguf() for name in ("tiny-Q4_0.gguf", "tiny-Q8_0.gguf")})


async def test_a_model_comes_is_listed_and_goes(call, tiny, store):
    code, out, err = await call("pull", f"{REPO}:Q8_0")
    assert code == 0
    assert f"{REPO}:Q8_0 is here, 224 B at commit aaaaaaa; to serve it: byoi models serve" in out
    assert "downloading owner/Tiny-GGUF: 0 B of 224 B" in err
    assert "was here already" in (await call("pull", REPO, "--quantisation", "Q8_0"))[1]
    code, out, _ = await call("list")
    assert code == 0
    assert f"{REPO}:Q8_0" in out
    assert DEFAULT_MODEL in out
    told = json.loads((await call("list", "--json"))[1])
    row = told["models"][0]
    assert (row["name"], row["id"], row["kind"]) == (f"{REPO}:Q8_0", "tiny-Q8_0", "gguf")
    assert (row["commit"], row["is_here"], row["is_in_use"]) == ("a" * 40, True, False)
    code, out, _ = await call("rm", REPO)
    assert (code, store.all()) == (0, [])
    assert "are free again" in out


async def test_programs_read_a_line_for_each_step_and_the_outcome_last(call, tiny):
    code, out, err = await call("pull", f"{REPO}:Q8_0", "--json", "--pin")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert lines[0]["phase"].startswith("asking http")
    assert any(line.get("total_bytes") == line.get("done_bytes") != 0 for line in lines[:-1])
    assert lines[-1]["model"] == f"{REPO}:Q8_0"
    assert lines[-1]["was_here"] is False
    assert json.loads((await call("list", "--json"))[1])["models"][0]["is_pinned"]
    told = json.loads((await call("rm", f"{REPO}:Q8_0", "--json"))[1])
    assert told == {"removed": [f"{REPO}:Q8_0@aaaaaaa"], "unfinished": 0}


async def test_which_of_several_is_asked_only_of_a_person(call, tiny, monkeypatch, store):
    code, _, err = await call("pull", REPO)
    assert code == 78
    assert "choose one with --file NAME" in err
    monkeypatch.setattr(module.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(module.click, "prompt", lambda *_, **__: 2)
    code, _, err = await call("pull", REPO)
    assert code == 0
    assert "   2  tiny-Q8_0.gguf" in err
    assert [one.variant for one in store.all()] == ["Q8_0"]
    assert (await call("pull", REPO, "--yes"))[0] == 78


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("pull", "nonsense"), 64, "is no model of a hub; one looks like owner/name"),
        (("pull", "o/n:Q4_0", "--quantisation", "Q8_0"), 64, "say two things"),
        (("pull", "o/n@v1", "--revision", "v2"), 64, "say two things"),
        (("pull", "o/n:Q4_0", "--file", "x.gguf"), 64, "names the file already"),
        (("pull", "o/n", "--downloads", "never"), 78, 'downloads="never"'),
        (("pull", "o/n"), 78, "the hub has no model o/n"),
        (("pull", "o/n", "--ca-file", "/none.pem"), 78, "holds no certificates"),
        (("rm", "o/n"), 78, "o/n is not here; see: byoi models list"),
        (("rm", DEFAULT_MODEL), 78, "is of the catalogue"),
        (("serve", "o/n"), 78, "first: byoi models pull o/n"),
        (("serve", DEFAULT_MODEL, "--engine", "http://x/v1"), 64, "byoi engines use URL"),
        (("serve", DEFAULT_MODEL, "--priority", "5"), 64, "beside other models only"),
        (("serve", "--stop", "o/n"), 78, "does not name o/n"),
    ],
)
async def test_what_cannot_be_is_said_with_its_mend(call, arguments, code, said):
    got, out, err = await call(*arguments)
    assert (got, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


async def test_a_hub_that_is_away_has_its_own_code(call, monkeypatch):
    monkeypatch.setattr("byoi_agent.models.transfer.Patience.wait_seconds", lambda *_: 0.0)
    code, _, err = await call("pull", "o/n", "--hub", "http://127.0.0.1:1")
    assert code == 69
    assert "http://127.0.0.1:1 does not answer" in err


async def test_what_is_unfinished_is_listed_and_can_be_removed(call, store):
    part = store.folder / f"owner--Tiny-GGUF--{'a' * 12}--x.partial" / "files"
    part.mkdir(parents=True)
    (part / "tiny.gguf.part").write_bytes(bytes(300_000_000 // 1000))
    assert "unfinished: owner/Tiny-GGUF" in (await call("list"))[1]
    assert "what had come" in (await call("rm", REPO))[1]
    assert not part.exists()


async def test_a_model_in_use_is_removed_only_by_force(call, tiny, store):
    await call("pull", f"{REPO}:Q8_0")
    held = store.use(store.find(f"{REPO}:Q8_0"))
    code, _, err = await call("rm", REPO)
    assert code == 1
    assert "in use by a running node" in err
    assert (await call("list"))[1].count("in use") == 1
    assert (await call("rm", REPO, "--force"))[0] == 0
    assert store.all() == []
    del held


async def test_a_model_whose_code_runs_is_told_loudly(call, tiny, config, tmp_path):
    await call("pull", f"{REPO}:Q8_0")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config.toml").write_text(f'remote_code = ["{REPO}@{"a" * 40}"]\n')
    code, out, err = await call("list")
    assert code == 0
    assert "runs its own code" in out
    assert f"{REPO}:Q8_0 runs code of its own on this machine" in err


async def test_the_first_model_is_a_setting_and_the_second_makes_tables(call, tiny, config):
    await call("pull", f"{REPO}:Q4_0")
    await call("pull", f"{REPO}:Q8_0")
    code, out, _ = await call("serve", f"{REPO}:Q8_0", "--context-tokens", "512")
    assert code == 0
    assert "tiny-Q8_0 is served by llamacpp; 224 B are to be loaded" in out
    assert "No node runs here; it serves when it is started: byoi run" in out
    assert config() == {"model": f"{REPO}:Q8_0", "context_tokens": 512}
    await call("serve", f"{REPO}:Q4_0", "--priority", "80", "--load", "start", "--slots", "2")
    assert config()["models"] == [
        {"model": f"{REPO}:Q8_0"},
        {"model": f"{REPO}:Q4_0", "priority": 80, "load": "start", "slots": 2},
    ]
    rows = json.loads((await call("list", "--json"))[1])["models"]
    assert [row["is_chosen"] for row in rows] == [True, True, False]
    code, out, _ = await call("serve", "--stop", f"{REPO}:Q8_0", "--json")
    assert json.loads(out)["served"] is False
    assert config()["models"] == [
        {"model": f"{REPO}:Q4_0", "priority": 80, "load": "start", "slots": 2}
    ]


async def test_the_engine_that_its_entry_names_stays_until_another_is_ordered(
    call, hub, hubs, config, tmp_path, monkeypatch
):
    settings = json.dumps({"architectures": ["X"], "max_position_embeddings": 128}).encode()
    hub.add("owner/Tiny", {"config.json": settings, "model.safetensors": hubs.safetensors()})
    await call("pull", "owner/Tiny")
    monkeypatch.setattr("byoi_agent.cli.models_serve.check_can_serve", lambda *_: None)
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "config.toml").write_text(
        '[[models]]\nmodel = "owner/Tiny"\nengine = "vllm@0.1.0"\n'
        f'[[models]]\nmodel = "{DEFAULT_MODEL}"\n'
    )
    _, out, _ = await call("serve", "owner/Tiny", "--priority", "80", "--json")
    assert json.loads(out)["engine"] == "vllm@0.1.0"
    assert config()["models"][0] == {"model": "owner/Tiny", "engine": "vllm@0.1.0", "priority": 80}
    await call("serve", "owner/Tiny", "--engine", "llamacpp")  # which is the engine of all others
    assert config()["models"][0]["engine"] == "llamacpp"


async def test_a_running_node_is_told_and_a_demo_is_not(call, config, monkeypatch):
    class Client:
        told = 0

        def reload(self):
            Client.told += 1
            return ReloadReport(now=("model",), at_restart=())

    for found_by, told in (("data_dir", 1), ("demo", 0)):
        Client.told = 0
        running = Instances((Instance(Client()),), found_by)
        monkeypatch.setattr(models_serve, "find", lambda *_, running=running, **__: running)
        _, out, _ = await call("serve", DEFAULT_MODEL)
        assert Client.told == told
        assert ("takes it over now" in out) == bool(told)
    assert "byoi reload" in (await call("serve", DEFAULT_MODEL, "--no-reload"))[1]
    assert config() == {"model": DEFAULT_MODEL}


async def test_a_file_is_written_down_by_its_whole_path(call, hubs, config, tmp_path, monkeypatch):
    (tmp_path / "own.gguf").write_bytes(hubs.gguf())
    monkeypatch.chdir(tmp_path)
    assert (await call("serve", "./own.gguf"))[0] == 0
    assert config() == {"model": str(tmp_path / "own.gguf")}
    assert (await call("serve", "--stop", "own.gguf"))[0] == 0
    assert config() == {}


async def test_safetensors_need_vllm_and_that_is_said(call, hub, hubs, config, monkeypatch):
    settings = json.dumps({"architectures": ["X"], "max_position_embeddings": 128}).encode()
    hub.add("owner/Tiny", {"config.json": settings, "model.safetensors": hubs.safetensors()})
    await call("pull", "owner/Tiny")
    monkeypatch.setattr("byoi_agent.engine.kinds.choice.obstacle", lambda _: None)
    monkeypatch.setattr("byoi_agent.engine.inventory.obstacle", lambda _: None)
    code, _, err = await call("serve", "owner/Tiny")
    assert code == 1
    assert "vllm is not installed; first: byoi engines install vllm" in err
    code, _, err = await call("serve", "owner/Tiny", "--engine", "llamacpp")
    assert code == 78
    assert "llama.cpp reads GGUF; use the engine vllm" in err
    monkeypatch.setattr("byoi_agent.engine.kinds.choice.obstacle", lambda _: "it is for Linux")
    assert "it is for Linux" in (await call("serve", "owner/Tiny"))[2]
    assert config() == {}


def test_bars_end_where_the_download_ended(monkeypatch):
    shown = []
    monkeypatch.setattr(pull_talk.TerminalTalk, "progress", lambda _, one: shown.append(one))
    bars = pull_talk.PullBars()
    bars.progress(Progress("downloading x", 5, 10))
    for _ in range(2):
        bars.progress(Progress("asking"))
    assert [one.phase for one in shown] == ["downloading x"]
    bars.settle()
    monkeypatch.setattr(pull_talk.sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(pull_talk.pull_talk(as_json=False), pull_talk.PullBars)
