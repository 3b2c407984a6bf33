from __future__ import annotations

import pytest

from byoi_agent.models.index_settings import index_settings

ALWAYS = {"UV_SYSTEM_CERTS": "1", "UV_INDEX_STRATEGY": "unsafe-best-match"}


@pytest.fixture
def home(tmp_path):
    return {"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}


def test_what_pip_was_told_is_told_to_uv_unless_it_was_told_itself(home):
    environment = {
        **home,
        "PIP_INDEX_URL": "https://index",
        "PIP_EXTRA_INDEX_URL": "https://extra",
        "PIP_FIND_LINKS": "/links",
        "UV_FIND_LINKS": "/other",
    }
    assert index_settings(environment) == {
        **ALWAYS,
        "UV_FIND_LINKS": "/other",
        "UV_DEFAULT_INDEX": "https://index",
        "UV_INDEX": "https://extra",
    }


def test_several_folders_of_wheels_are_parted_as_uv_wants_it(home):
    assert index_settings({**home, "PIP_FIND_LINKS": "/a /b"})["UV_FIND_LINKS"] == "/a,/b"


def test_the_machine_s_certificates_count_unless_the_owner_says_otherwise(home):
    assert index_settings(home) == ALWAYS
    assert index_settings({**home, "UV_SYSTEM_CERTS": "0"})["UV_SYSTEM_CERTS"] == "0"


def test_pips_own_file_counts_where_no_variable_says_anything(tmp_path):
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nfind-links = /srv/wheels\n  /more\nindex-url = https://in.house/simple\n"
        "extra-index-url = file:///a/folder https://other/simple\n"
    )
    told = index_settings({"HOME": "/nonexistent", "PIP_CONFIG_FILE": str(file)})
    assert told["UV_FIND_LINKS"] == "/srv/wheels,/more"
    assert told["UV_DEFAULT_INDEX"] == "https://in.house/simple"
    assert told["UV_INDEX"] == "https://other/simple"
    asked = {"HOME": "/n", "PIP_CONFIG_FILE": str(file), "PIP_INDEX_URL": "https://variable"}
    assert index_settings(asked)["UV_DEFAULT_INDEX"] == "https://variable"


@pytest.mark.parametrize("text", ["no section = here", "[other]\nfind-links = /x", "[global\n"])
def test_a_damaged_or_silent_file_counts_for_nothing(tmp_path, text):
    own = tmp_path / ".config" / "pip"
    own.mkdir(parents=True)
    (own / "pip.conf").write_text(text)
    environment = {"HOME": str(tmp_path), "PIP_FIND_LINKS": "/links"}
    assert index_settings(environment)["UV_FIND_LINKS"] == "/links"
