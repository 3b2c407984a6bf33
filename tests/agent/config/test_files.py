from __future__ import annotations

import stat

import pytest

from byoi_agent.config.files import (
    check_can_be_made,
    make_private_folder,
    read_private,
    write_private,
)
from byoi_agent.errors import ConfigError


def test_what_is_written_is_read_back_and_only_its_owner_may_read_it(tmp_path):
    path = tmp_path / "secret"
    write_private(path, b"one")
    write_private(path, b"two")
    assert read_private(path) == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_planted_link_is_replaced_and_its_target_left_alone(tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    link = tmp_path / "secret"
    link.symlink_to(target)
    write_private(link, b"new")
    assert target.read_bytes() == b"mine"
    assert not link.is_symlink()


def test_a_link_is_never_read_through(tmp_path):
    (tmp_path / "target").write_bytes(b"planted")
    (tmp_path / "secret").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match="plain file"):
        read_private(tmp_path / "secret")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_that_others_may_read_is_refused_with_its_mend(tmp_path, mode):
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_private(path)


def test_a_missing_file_is_its_own_answer(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_private(tmp_path / "none")


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    path = tmp_path / "secret"
    write_private(path, b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("byoi_agent.config.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_new_folder_is_private(tmp_path):
    make_private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_folder_that_anybody_can_write_to_is_refused(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="chmod 700"):
        make_private_folder(folder)


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("byoi_agent.config.files.os.geteuid", lambda: 4242)
    folder = tmp_path / "theirs"
    folder.mkdir()
    # Root may own any folder; give it to nobody where we may, else it is ours and so not 4242's.
    if folder.stat().st_uid == 0:
        import os

        os.chown(folder, 65534, 65534)
    with pytest.raises(ConfigError, match="another user"):
        make_private_folder(folder)


def test_a_file_where_a_folder_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError):
        make_private_folder(tmp_path / "file")


def test_a_file_that_could_not_be_written_later_is_refused_at_once(tmp_path, monkeypatch):
    check_can_be_made("--ready-file", tmp_path / "ready.json")
    with pytest.raises(ConfigError, match="--ready-file: there is no folder"):
        check_can_be_made("--ready-file", tmp_path / "nowhere" / "ready.json")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(ConfigError, match="cannot be written to"):
        check_can_be_made("--ready-file", tmp_path / "ready.json")
