from __future__ import annotations

import os
import socket
from types import SimpleNamespace

import pytest

from byoi_agent.availability.view import AvailabilityView
from byoi_agent.daemon.engine_notes import our_processes, tell_of_memory
from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.view import EngineView
from byoi_agent.telemetry.health import Health

HERE = "http://127.0.0.1:8000/v1"


def entry(url=HERE, name="attached", lends=False):
    kind = SimpleNamespace(name=name, address=EngineAddress.parse(url), can_sleep=lends)
    return SimpleNamespace(key="engine", kind=kind)


def warnings(entries, mode="idle", state="ready"):
    health = Health()
    engines = (EngineView(state, "attached", key="engine"),)
    view = SimpleNamespace(engines=engines, availability=AvailabilityView(mode=mode))
    tell_of_memory(health, SimpleNamespace(view=view), entries)
    return health.warnings


@pytest.mark.parametrize("mode", ["idle", "scheduled"])
def test_a_server_that_keeps_its_memory_is_told_with_the_mend(mode):
    (warning,) = warnings([entry()], mode)
    assert warning.name == "attached-keeps-memory"
    assert HERE in warning.text
    assert "Ollama" in warning.mend
    assert "byoi mode dedicated" in warning.mend


@pytest.mark.parametrize(
    ("one", "mode", "state"),
    [
        (entry(), "dedicated", "ready"),
        (entry(), "idle", "starting"),  # it has not been asked yet
        (entry(lends=True), "idle", "ready"),
        (entry("http://gpu-box.lan:8000"), "idle", "ready"),
        (entry(name="llamacpp"), "idle", "ready"),
    ],
)
def test_nothing_is_said_of_one_that_lends_or_is_not_in_the_way(one, mode, state):
    assert warnings([one], mode, state) == ()


def test_the_warning_goes_with_its_cause():
    health = Health()
    view = SimpleNamespace(
        engines=(EngineView("ready", "attached", key="engine"),),
        availability=AvailabilityView(mode="idle"),
    )
    for one, count in ((entry(), 1), (entry(lends=True), 0)):
        tell_of_memory(health, SimpleNamespace(view=view), [one])
        assert len(health.warnings) == count


def test_an_attached_servers_processes_are_no_strangers():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert our_processes([entry(url), entry("unix:///run/e.sock")]) == {os.getpid()}
    assert our_processes([entry("http://gpu-box.lan:22", name="attached")]) == {os.getpid()}
