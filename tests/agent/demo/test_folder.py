from __future__ import annotations

import pytest

from byoi_agent.config.lock import StateInUse
from byoi_agent.demo.folder import Secrets, opened
from byoi_agent.errors import ConfigError

SECRETS = Secrets(admin_email="e", admin_password="p", admin_api_key="a", api_key="k")


def test_a_temporary_folder_goes_at_the_end():
    with opened(None) as folder:
        folder.keep(SECRETS)
        assert folder.root.stat().st_mode & 0o077 == 0
    assert not folder.root.exists()


def test_a_folder_of_the_users_stays_with_its_keys_for_its_owner_alone(tmp_path):
    with opened(tmp_path / "d") as folder:
        assert folder.secrets() is None
        folder.keep(SECRETS)
    with opened(tmp_path / "d") as folder:
        assert folder.secrets() == SECRETS
        assert folder.secrets_file.stat().st_mode & 0o077 == 0


def test_two_demos_do_not_share_a_folder(tmp_path):
    with opened(tmp_path / "d"), pytest.raises(StateInUse), opened(tmp_path / "d"):
        pass


def test_damaged_keys_are_told_with_a_way_on(tmp_path):
    with opened(tmp_path / "d") as folder:
        folder.secrets_file.write_text("{}")
        folder.secrets_file.chmod(0o600)
        with pytest.raises(ConfigError, match="another --data-dir"):
            folder.secrets()


def test_each_part_has_its_own_places(tmp_path):
    with opened(tmp_path / "d") as folder:
        places = {
            folder.console,
            folder.node(1),
            folder.node(2),
            folder.ready_file("console"),
            folder.log_file("console"),
        }
        assert len(places) == 5
        assert all(folder.root in place.parents for place in places)
