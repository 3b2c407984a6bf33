from __future__ import annotations

import os
import pwd
import sys

import pytest

from byoi_agent.cli import update_desk as module
from byoi_agent.config.installation import Installation, ServicePlaces
from byoi_agent.errors import ConfigError
from byoi_agent.update.index import IndexTrouble
from byoi_agent.update.installers import Debian, Versions

ACCOUNT = pwd.getpwuid(os.geteuid()).pw_name
OTHER = '[update]\nring = "beta"\nindex = "https://other.example"\n'


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installation of the system whose keys are in its environment, and the desk made for it."""
    prefix, folder = tmp_path / "prefix", tmp_path / "update"
    for each in (prefix, folder, tmp_path / "etc"):
        each.mkdir()
    (prefix / "root.json").write_text("{}")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    config = tmp_path / "etc/config.toml"
    config.touch(mode=0o600)
    config.parent.chmod(0o700)
    places = ServicePlaces(
        account=ACCOUNT, state=tmp_path, cache=tmp_path, runtime=tmp_path, config=config
    )

    def make(kind="deb", index="https://index.example", source=None, ring=None, **facts):
        facts.setdefault("service", places)
        made = Installation(kind=kind, index=index, root=tmp_path, **facts)
        return module.desk_of(made, folder, ring=ring, source=source, is_now=False)[0]

    make.config, make.prefix, make.places = config, prefix, places
    return make


@pytest.fixture
def as_root(monkeypatch):
    """Whoever runs the tests counts as root, as far as who may write a file is concerned."""
    monkeypatch.setattr(module, "_is_roots", lambda _: True)


def test_the_installation_names_index_and_kind(installed):
    desk = installed()
    assert (desk.terms.source, desk.terms.ring, desk.terms.root) == (
        "https://index.example",
        "stable",
        b"{}",
    )
    assert isinstance(desk.installer, Debian)
    assert isinstance(installed(kind="versions", service=None).installer, Versions)


def test_what_the_services_account_can_write_steers_nothing_of_root(installed, capsys):
    installed.config.write_text(OTHER)
    installed.config.chmod(0o660)
    desk = installed()
    assert (desk.terms.source, desk.terms.ring) == ("https://index.example", "stable")
    assert "the service's account can write there; give --ring or --from" in capsys.readouterr().err


def test_neither_does_what_lies_behind_a_link(installed, tmp_path):
    (tmp_path / "elsewhere").write_text(OTHER)
    installed.config.unlink()
    installed.config.symlink_to(tmp_path / "elsewhere")
    assert installed().terms.source == "https://index.example"


def test_what_nobody_but_root_can_write_does(installed, as_root):
    installed.config.write_text(OTHER)
    desk = installed()
    assert (desk.terms.source, desk.terms.ring) == ("https://other.example", "beta")
    assert installed(source="file:///x", ring="stable").terms.source == "file:///x"


def test_settings_that_cannot_be_read_do_not_keep_a_mend_away(installed, capsys):
    installed.config.write_text("what = is this")
    assert installed().terms.source == "https://index.example"
    assert "updating as if nothing was set" in capsys.readouterr().err


def test_keys_are_asked_for_only_where_there_is_an_index(installed):
    (installed.prefix / "root.json").unlink()
    assert installed(index=None).terms.source is None
    with pytest.raises(ConfigError, match="lacks the keys that updates are checked with"):
        installed()


def test_a_folder_without_an_index_is_refused(installed, tmp_path):
    with pytest.raises(IndexTrouble, match="holds no index"):
        installed(source=str(tmp_path))
    (tmp_path / "metadata").mkdir()
    assert installed(source=str(tmp_path)).terms.source == tmp_path.as_uri()


def test_a_terminal_that_is_gone_stops_nothing(installed, monkeypatch):
    def gone(*_, **__):
        raise OSError(5, "Input/output error")

    desk = installed()
    monkeypatch.setattr(module.click, "echo", gone)
    desk.tell("Fetching …")


@pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, which could read what the account may not"
)
def test_what_the_services_account_may_not_read_root_does_not_read_for_it(installed, capsys):
    secret = installed.config.with_name("secret")
    secret.write_text("token-of-root = 1\n")
    secret.chmod(0o600)
    installed.config.unlink()
    installed.config.symlink_to(secret)
    installed.config.parent.chmod(0o777)
    places = installed.places.model_copy(update={"account": "nobody"})
    installed(service=places)
    told = capsys.readouterr().err
    assert "updating as if nothing was set" in told
    assert "token-of-root" not in told
    assert (os.geteuid(), os.getegid()) == (0, 0)
    installed(service=places.model_copy(update={"account": "nobody-of-that-name"}))
    assert "there is no account nobody-of-that-name" in capsys.readouterr().err
