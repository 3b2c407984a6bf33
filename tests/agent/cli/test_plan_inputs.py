from __future__ import annotations

import click
import pytest

from byoi_agent.cli.main import EXIT_CONFIG
from byoi_agent.cli.plan_inputs import Gpu, Machine, default_engine, meant_machine
from byoi_agent.planning.facts import from_config
from byoi_agent.planning.known_models import known_model
from byoi_agent.planning.machines import GIB, PlanDevice


@pytest.mark.parametrize(
    ("text", "count", "name", "gib"),
    [
        ("RTX 4090:24", 1, "RTX 4090", 24),
        ("8xH100:80", 8, "H100", 80),
        ("2 x RTX 4090:24", 2, "RTX 4090", 24),
        ("H100:80x8", 8, "H100", 80),
        ("H100:80 GiB x 8", 8, "H100", 80),
        ("A:2:0.5", 1, "A:2", 0.5),
    ],
)
def test_cards_are_named_as_people_write_them(text, count, name, gib):
    found = Gpu().convert(text, None, None)
    assert len(found) == count
    assert (found[0].name, found[0].memory_bytes) == (name, gib * GIB)


@pytest.mark.parametrize(
    "text",
    ["2xA:24x3", "A:0", "A:24x0", "A:" + "9" * 400, "A:24x" + "9" * 5000, "9" * 5000 + "xA:24"],
)
def test_cards_that_nobody_has_are_refused(text):
    with pytest.raises(click.BadParameter, match="RTX 4090:24"):
        Gpu().convert(text, None, None)


@pytest.mark.parametrize("command", [("plan", "serve"), ("models", "serve")])
def test_a_model_in_nobodys_home_is_told(byoi, command, monkeypatch, tmp_path):
    monkeypatch.setenv("BYOI_DATA_DIR", str(tmp_path))
    code, _, err = byoi(*command, "~nobody-of-this-name/model")
    assert code == EXIT_CONFIG
    assert "no such user's home folder" in err


def test_cards_that_are_meant_are_numbered_through():
    first, second = Gpu().convert("H100:80x2", None, None), Gpu().convert("L4:24", None, None)
    machine = meant_machine([first, second], None)
    assert [one.index for one in machine.accelerators] == [0, 1, 2]
    assert machine.devices("llamacpp") == machine.accelerators


def test_our_llama_cpp_computes_on_the_processor_but_on_a_mac():
    card, processor = PlanDevice(0, "nvidia", "a", GIB), PlanDevice(0, "cpu", "b", GIB)
    apple = PlanDevice(0, "apple", "Apple M2 Max", GIB)
    assert Machine([card], [processor]).devices("llamacpp") == [processor]
    assert Machine([card], [processor]).devices("vllm") == [card]
    assert Machine([], [processor]).devices("vllm") == [processor]
    assert Machine([apple], [processor]).devices("llamacpp") == [apple]


def test_a_config_is_for_vllm():
    assert default_engine(from_config(*known_model("Qwen3-8B"))) == "vllm"
