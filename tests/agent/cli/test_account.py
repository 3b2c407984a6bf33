from __future__ import annotations

import os
import pwd

import pytest

from byoi_agent.cli import account
from byoi_agent.cli.account import act_as_service
from byoi_agent.config.installation import Installation, ServicePlaces
from byoi_agent.errors import ConfigError

NOBODY = pwd.getpwnam("nobody")
PLACES = {
    "STATE_DIRECTORY": "/var/lib/byoi",
    "CACHE_DIRECTORY": "/var/cache/byoi",
    "RUNTIME_DIRECTORY": "/run/byoi",
    "BYOI_CONFIG": "/etc/byoi/config.toml",
    "HOME": "/var/lib/byoi",
}


@pytest.fixture
def became(monkeypatch):
    """What root gave up, in order; nothing is given up in truth."""
    done = []
    monkeypatch.setattr(account.os, "geteuid", lambda: 0)
    monkeypatch.setattr(account.os, "initgroups", lambda name, gid: done.append(("groups", name)))
    monkeypatch.setattr(account.os, "setgid", lambda gid: done.append(("gid", gid)))
    monkeypatch.setattr(account.os, "setuid", lambda uid: done.append(("uid", uid)))
    monkeypatch.setattr(account.os, "umask", lambda mask: done.append(("umask", mask)))
    return done


def installed(name="nobody"):
    return Installation(
        kind="deb",
        service=ServicePlaces(
            account=name,
            state="/var/lib/byoi",
            cache="/var/cache/byoi",
            runtime="/run/byoi",
            config="/etc/byoi/config.toml",
        ),
    )


def test_what_root_types_is_done_as_the_service_in_its_places(became):
    environment = {"HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0", "PATH": "/bin"}
    assert act_as_service(["status", "--json"], environment, installed()) == ["status", "--json"]
    assert environment == {**PLACES, "PATH": "/bin"}
    assert became == [
        ("groups", "nobody"),
        ("gid", NOBODY.pw_gid),
        ("uid", NOBODY.pw_uid),
        ("umask", 0o077),
    ]


@pytest.mark.parametrize(
    ("words", "is_administrator", "is_moved"),
    [
        (["run", "--as-service"], False, True),
        (["status"], True, True),
        (["status"], False, False),
        (["version"], True, False),
    ],
)
def test_windows_moves_its_service_and_administrators_into_the_services_places(
    monkeypatch, became, words, is_administrator, is_moved
):
    monkeypatch.setattr(account.sys, "platform", "win32")
    monkeypatch.setattr(account, "_is_administrator", lambda: is_administrator)
    environment = {"PATH": "/bin"}
    assert act_as_service(words, environment, installed()) == words
    assert environment == ({**PLACES, "PATH": "/bin"} if is_moved else {"PATH": "/bin"})
    assert became == []


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ([], {}),
        (["--help"], {}),
        (["update"], {}),
        (["--debug", "service", "install"], {}),
        (["keys", "--json", "seal"], {}),
        (["keys", "unseal"], {}),
        (["demo"], {}),
        (["status", "--data-dir", "/srv/mine"], {}),
        (["status", "--data-dir=/srv/mine"], {}),
        (["status"], {"BYOI_DATA_DIR": "/srv/mine"}),
        (["status"], {"BYOI_CONFIG": "/srv/mine.toml"}),
        (["run"], {"STATE_DIRECTORY": "/var/lib/byoi"}),
        (["status"], {"_BYOI_COMPLETE": "bash_complete"}),
    ],
)
def test_what_is_not_for_the_service_stays_as_it_is(became, arguments, environment):
    before = dict(environment)
    assert act_as_service(arguments, environment, installed()) == arguments
    assert (environment, became) == (before, [])


def test_without_a_service_root_is_root(became):
    environment = {}
    act_as_service(["status"], environment, Installation())
    assert (environment, became) == ({}, [])


def test_the_service_itself_finds_its_places_and_others_are_left_alone(monkeypatch):
    environment = {}
    monkeypatch.setattr(account.os, "geteuid", lambda: NOBODY.pw_uid)
    act_as_service(["status"], environment, installed())
    assert environment == PLACES
    environment = {}
    monkeypatch.setattr(account.os, "geteuid", lambda: NOBODY.pw_uid - 1)
    act_as_service(["status"], environment, installed())
    assert environment == {}


@pytest.mark.parametrize("flag", [["--join-token-file", "{}"], ["--join-token-file={}"]])
def test_a_token_that_only_root_can_read_is_read_before(became, tmp_path, flag):
    (tmp_path / "token").write_text("byoi-join-abc\n")
    flags = [word.format(tmp_path / "token") for word in flag]
    environment = {}
    left = act_as_service(["enroll", *flags, "--json"], environment, installed())
    assert left == ["enroll", "--json"]
    assert environment["BYOI_JOIN_TOKEN"] == "byoi-join-abc"
    assert became


@pytest.mark.parametrize(
    "flags", [["--join-token-file", "-"], ["--join-token-file=-"], ["--join-token-file"]]
)
def test_standard_input_is_left_to_the_command(became, flags):
    environment = {}
    assert act_as_service(["enroll", *flags], environment, installed()) == ["enroll", *flags]
    assert "BYOI_JOIN_TOKEN" not in environment


def test_a_token_file_that_is_not_there_is_told(became, tmp_path):
    with pytest.raises(ConfigError, match=r"--join-token-file: .* cannot be read"):
        act_as_service(["enroll", "--join-token-file", str(tmp_path / "no")], {}, installed())
    assert became == []


def test_an_account_that_is_gone_is_told(became):
    with pytest.raises(ConfigError, match="account byoi-none is gone"):
        act_as_service(["status"], {}, installed("byoi-none"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_nothing_of_root_is_left(tmp_path):
    child = os.fork()
    if child == 0:
        act_as_service(["status"], {}, installed())
        is_gone = os.getresuid() == (NOBODY.pw_uid,) * 3 and 0 not in os.getgroups()
        try:
            os.setuid(0)
        except PermissionError:
            os._exit(0 if is_gone else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
