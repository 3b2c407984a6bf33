from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.config import paths as module
from byoi_agent.config.paths import (
    SOCKET_PATH_BYTES,
    default_config_file,
    demos_folder,
    expanded,
    prepare,
    resolve,
    runtime_root,
)
from byoi_agent.config.settings import Settings
from byoi_agent.errors import ConfigError


def test_a_data_folder_holds_all_state_and_the_cache_stays_the_users(tmp_path):
    paths = resolve(Settings(data_dir=tmp_path), {})
    for file in (paths.identity_file, paths.lock_file, paths.outbox_file, paths.control_file):
        assert file.parent == tmp_path
    assert tmp_path not in paths.cache.parents


def test_two_data_folders_have_two_runtime_folders(tmp_path):
    one, two = (resolve(Settings(data_dir=tmp_path / name), {}) for name in "ab")
    assert one.runtime != two.runtime
    assert one.runtime.parent == two.runtime.parent


def test_a_systemd_unit_names_the_folders():
    environment = {
        "STATE_DIRECTORY": "/var/lib/byoi:/var/lib/other",
        "CACHE_DIRECTORY": "/var/cache/byoi",
        "RUNTIME_DIRECTORY": "/run/byoi",
    }
    paths = resolve(Settings(), environment)
    assert (str(paths.state), str(paths.cache)) == ("/var/lib/byoi", "/var/cache/byoi")
    assert paths.control_socket == module.system_control_socket()


@given(depth=st.integers(1, 40))
def test_sockets_stay_short_however_deep_the_folders_are(depth):
    deep = Path("/" + "/".join(["deeply-nested"] * depth))
    paths = resolve(Settings(data_dir=deep), {"XDG_RUNTIME_DIR": str(deep)})
    assert len(os.fsencode(paths.runtime / ("s" * 24))) <= SOCKET_PATH_BYTES


def test_a_long_runtime_folder_is_left_for_a_private_one_under_tmp(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(deep))
    root = runtime_root({"XDG_RUNTIME_DIR": str(deep)})
    assert root.parent == Path("/tmp")
    assert root.name.startswith("byoi-")


def test_the_runtime_folder_of_the_session_is_used_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_is_short", lambda _: True)
    assert runtime_root({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "byoi"
    assert demos_folder({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "byoi" / "demos"


def test_prepare_makes_private_folders(tmp_path):
    settings = Settings(
        data_dir=tmp_path / "d", cache_dir=tmp_path / "c", runtime_dir=tmp_path / "r"
    )
    paths = resolve(settings, {})
    prepare(paths)
    for folder in (paths.state, paths.cache, paths.runtime, paths.runtime.parent):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_runtime_folder_that_anybody_can_write_to_is_refused(tmp_path):
    planted = tmp_path / "r"
    planted.mkdir()
    planted.chmod(0o777)
    settings = Settings(data_dir=tmp_path / "d", cache_dir=tmp_path / "c", runtime_dir=planted)
    with pytest.raises(ConfigError, match="anybody"):
        prepare(resolve(settings, {}))


def test_the_configuration_file_is_the_named_one_then_the_data_folders(tmp_path):
    assert default_config_file(tmp_path, {"BYOI_CONFIG": "/x.toml"}) == Path("/x.toml")
    assert default_config_file(tmp_path, {}) is None
    (tmp_path / "config.toml").touch()
    assert default_config_file(tmp_path, {}) == tmp_path / "config.toml"


def test_a_home_folder_is_found_by_its_sign_and_nobodys_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expanded("~/models") == tmp_path / "models"
    assert expanded("models") == Path.cwd() / "models"
    with pytest.raises(ConfigError, match="no such user's home folder"):
        expanded("~nobody-of-this-name/models")
