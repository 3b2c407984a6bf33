from __future__ import annotations

import os

import pytest

from byoi_agent.config.paths import demos_folder, resolve
from byoi_agent.config.settings import Settings
from byoi_agent.control import instances
from byoi_agent.control.client import ControlClient
from byoi_agent.control.instances import (
    DemoPlace,
    Instance,
    find,
    read_place,
    register_demo,
    running_demos,
    write_place,
)
from byoi_agent.control.schema import NodePlace
from byoi_agent.errors import ConfigError

DEAD = 2**22 + 1  # above Linux's largest process id


def place(name, pid=None):
    return NodePlace(
        node_id=name,
        pid=pid or os.getpid(),
        control_url="http://127.0.0.1:1",
        control_token="t",
        control_socket=f"/{name}.sock",
    )


@pytest.fixture
def paths(tmp_path):
    return resolve(Settings(data_dir=tmp_path), {})


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setattr(instances, "system_control_socket", lambda: tmp_path / "system.sock")
    monkeypatch.setattr("byoi_agent.config.paths._is_short", lambda _: True)
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def test_the_environment_wins(paths, environment):
    write_place(paths.control_file, place("own"))
    named = {**environment, "BYOI_CONTROL_URL": "http://127.0.0.1:2", "BYOI_CONTROL_TOKEN": "x"}
    found = find(paths, named, is_named=False)
    assert found.nodes == (Instance(ControlClient(url="http://127.0.0.1:2", token="x")),)
    assert found.found_by == "environment"


def test_an_address_without_its_token_is_refused(paths):
    with pytest.raises(ConfigError, match="BYOI_CONTROL_TOKEN"):
        find(paths, {"BYOI_CONTROL_URL": "http://127.0.0.1:2"}, is_named=False)


@pytest.mark.parametrize(("is_named", "found_by"), [(True, "data_dir"), (False, "machine")])
def test_then_the_data_folders_node(paths, environment, is_named, found_by):
    write_place(paths.control_file, place("own"))
    found = find(paths, environment, is_named=is_named)
    assert found.nodes == (Instance(ControlClient(socket_path="/own.sock"), paths.state),)
    assert found.found_by == found_by


def test_a_dead_nodes_word_counts_for_nothing(paths, environment):
    write_place(paths.control_file, place("own", pid=DEAD))
    assert read_place(paths.control_file) is None
    assert find(paths, environment, is_named=True).found_by == "none"


def test_a_named_folder_never_means_another_node(paths, environment, tmp_path):
    (tmp_path / "system.sock").touch()
    register_demo(environment, DemoPlace(pid=os.getpid(), data_dir="/d", nodes=(place("a"),)))
    assert find(paths, environment, is_named=True).nodes == ()


def test_then_the_systems_service(paths, environment, tmp_path):
    (tmp_path / "system.sock").touch()
    found = find(paths, environment, is_named=False)
    assert [node.client.socket_path for node in found.nodes] == [str(tmp_path / "system.sock")]


def test_then_every_node_of_the_running_demos(paths, environment):
    demo = DemoPlace(pid=os.getpid(), data_dir="/d", nodes=(place("a"), place("b")))
    register_demo(environment, demo)
    found = find(paths, environment, is_named=False)
    assert [node.client.socket_path for node in found.nodes] == ["/a.sock", "/b.sock"]
    assert found.found_by == "demo"


def test_of_several_demos_the_newest_is_meant(environment, paths):
    folder = demos_folder(environment)
    for name, pid, moment in (("new", os.getpid(), 2000), ("old", os.getppid(), 1000)):
        file = register_demo(environment, DemoPlace(pid=pid, data_dir="/d", nodes=(place(name),)))
        os.utime(file, (moment, moment))
    assert len(list(folder.iterdir())) == 2
    (found,) = find(paths, environment, is_named=False).nodes
    assert found.client.socket_path == "/new.sock"


def test_nothing_runs(paths, environment):
    assert find(paths, environment, is_named=False).found_by == "none"


def test_what_a_killed_demo_or_a_stranger_left_is_passed_over(environment):
    left = register_demo(environment, DemoPlace(pid=DEAD, data_dir="/d", nodes=()))
    file = register_demo(environment, DemoPlace(pid=os.getpid(), data_dir="/d", nodes=()))
    assert not left.exists()
    (demos_folder(environment) / "x.json").write_text("{}")
    assert [demo.pid for demo in running_demos(environment)] == [os.getpid()]
    assert file.stat().st_mode & 0o077 == 0
