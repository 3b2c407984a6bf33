from __future__ import annotations

import json
from pathlib import Path

import pytest

from byoi_agent.config.installation import FILE_NAME, Installation, read_installation
from byoi_agent.errors import ConfigError

SERVICE = {
    "account": "byoi",
    "state": "/var/lib/byoi",
    "cache": "/var/cache/byoi",
    "runtime": "/run/byoi",
    "config": "/etc/byoi/config.toml",
}


def test_without_a_file_it_is_run_from_source(tmp_path):
    assert read_installation(tmp_path) == Installation(kind="source")


def test_what_an_installer_wrote_is_read(tmp_path):
    told = {"kind": "deb", "version": "0.2.0", "index": None, "service": SERVICE, "later": 1}
    (tmp_path / FILE_NAME).write_text(json.dumps(told))
    found = read_installation(tmp_path)
    assert (found.kind, found.version, found.root) == ("deb", "0.2.0", None)
    assert found.service.state == Path("/var/lib/byoi")
    assert found.service.environment["CACHE_DIRECTORY"] == "/var/cache/byoi"


@pytest.mark.parametrize("text", ["", "{", '{"kind": "guess"}', '{"service": {}}'])
def test_a_broken_file_is_told_with_its_mend(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ConfigError, match="install byoi again"):
        read_installation(tmp_path)
