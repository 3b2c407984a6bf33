from __future__ import annotations

import os

import pytest

from byoi_agent.config.installation import Installation
from byoi_agent.errors import ConfigError
from byoi_agent.update.place import folder_of, told_here, usable_folder


@pytest.mark.parametrize(("kind", "told"), [("source", "git pull"), ("container", "newer image")])
def test_what_is_not_ours_to_replace_says_what_to_do_instead(kind, told):
    assert folder_of(Installation(kind=kind)) is None
    with pytest.raises(ConfigError, match=told):
        usable_folder(Installation(kind=kind))


def test_a_users_own_installation_keeps_it_below_itself(tmp_path):
    folder = usable_folder(Installation(kind="versions", root=tmp_path))
    assert folder == tmp_path / "update"
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path):
    (tmp_path / "update").mkdir()
    (tmp_path / "update").chmod(0o777)
    with pytest.raises(ConfigError, match="decide what is installed here"):
        usable_folder(Installation(kind="versions", root=tmp_path))


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "update").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        usable_folder(Installation(kind="versions", root=tmp_path))


@pytest.mark.skipif(os.name != "posix", reason="only on POSIX do files have an owner")
def test_from_source_nothing_is_told():
    assert told_here() is None
