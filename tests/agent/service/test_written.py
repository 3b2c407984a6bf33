from __future__ import annotations

import json
import sys

import pytest

from byoi_agent.config.installation import Installation
from byoi_agent.service import choice, linux, written


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """An installation below /opt; `of_system` makes it the system's service."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(linux, "output_of", lambda _: "systemd 252 (252.39-1~deb12u1)")

    def install(*, of_system):
        made = Installation(
            kind="versions", root="/opt/byoi", service=linux.PLACES if of_system else None
        )
        for module in (written, choice):
            monkeypatch.setattr(module, "read_installation", lambda: made)
        return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}

    return install


def test_a_system_installation_tells_its_units_as_they_are_written(installed):
    files = {one["path"]: one for one in written.files_of(installed(of_system=True))}
    unit = files["/etc/systemd/system/byoi-agent.service"]
    assert "ExecStart=/opt/byoi/bin/byoi run" in unit["text"]
    assert unit["mode"] == 0o644
    assert "/etc/systemd/user/byoi-session.service" in files


def test_root_does_not_read_the_accounts_settings_for_it(installed, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(f'data_dir = "{tmp_path}/elsewhere"\n')
    environment = {**installed(of_system=True), "BYOI_CONFIG": str(config)}
    assert "elsewhere" not in json.dumps(written.files_of(environment))
    users = {**installed(of_system=False), "BYOI_CONFIG": str(config)}
    assert "elsewhere" in json.dumps(written.files_of(users))
    config.write_text("nonsense = 1\n")
    assert written.files_of(users)


def test_it_is_told_as_json_or_in_a_sentence(installed, monkeypatch, capsys):
    environment = installed(of_system=True)
    monkeypatch.setattr(written.os, "environ", environment)
    assert written.main() == 0
    assert json.loads(capsys.readouterr().out)[0].keys() == {"path", "text", "mode"}
    monkeypatch.setattr(
        choice.launcher_for, "__kwdefaults__", {"data_dir": None, "platform": "plan9"}
    )
    assert written.main() == 1
    assert "does not know how plan9 starts programs" in capsys.readouterr().err
