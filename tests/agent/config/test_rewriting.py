from __future__ import annotations

import pytest

from byoi_agent.config.rewriting import rewriting
from byoi_agent.errors import ConfigError


def test_a_change_that_goes_well_stays(tmp_path):
    file = tmp_path / "config.toml"
    with rewriting(file) as given:
        given.write_text("slots = 1\n")
    assert file.read_text() == "slots = 1\n"


@pytest.mark.parametrize("before", [None, "# mine\n"])
def test_a_change_that_is_refused_leaves_the_file_as_it_was(tmp_path, before):
    file = tmp_path / "config.toml"
    if before is not None:
        file.write_text(before)
        file.chmod(0o640)
    with pytest.raises(ConfigError, match=r"^nothing is changed: no such GPU$"):
        change_in_vain(file)
    assert (file.read_text() if file.exists() else None) == before
    if before is not None:
        assert file.stat().st_mode & 0o777 == 0o640


def change_in_vain(file):
    with rewriting(file):
        file.write_text("slots = 1\n")
        raise ConfigError("no such GPU")


def test_without_a_file_it_is_told(tmp_path):
    with pytest.raises(ConfigError, match="byoi run"), rewriting(None):
        pass
