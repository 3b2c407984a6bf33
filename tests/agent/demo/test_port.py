from __future__ import annotations

import socket

import pytest

from byoi_agent.demo import port
from byoi_agent.demo.port import Port, choose


@pytest.fixture
def taken(monkeypatch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.setattr(port, "DEFAULT_PORT", listener.getsockname()[1])
        yield


@pytest.mark.parametrize("wanted", [0, 9000])
def test_the_users_choice_is_never_changed(wanted):
    assert choose(wanted) == Port(wanted, is_usual_taken=False)


@pytest.mark.usefixtures("taken")
def test_a_taken_port_gives_way_to_any_free_one_with_a_word():
    assert choose(None) == Port(0, is_usual_taken=True)


def test_the_usual_port_is_used_while_it_is_free(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    monkeypatch.setattr(port, "DEFAULT_PORT", free)
    assert choose(None) == Port(free, is_usual_taken=False)
