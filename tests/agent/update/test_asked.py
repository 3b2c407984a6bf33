from __future__ import annotations

import sys
from pathlib import Path

import pytest

from byoi_agent.config.installation import Installation, ServicePlaces
from byoi_agent.errors import ConfigError
from byoi_agent.update import asked
from byoi_agent.update.asked import UpdateRefused, UpdatesByOwner

SERVICE = ServicePlaces(
    account="byoi", state=Path("/s"), cache=Path("/c"), runtime=Path("/r"), config=Path("/f")
)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="programs of a shell")


class Place:
    """One user's installation, whose programs say what they were asked."""

    def __init__(self, folder):
        self.root = folder / "app"
        self.program = self.make("app/bin/byoi", "exit 0")
        self.runner = self.make("bin/systemd-run", "exit 0")
        self.environment = {
            "PATH": f"{folder}/bin:/usr/bin:/bin",
            "INVOCATION_ID": "1",
            "NOTIFY_SOCKET": "/n",
        }

    def make(self, name, does):
        program = self.root.parent / name
        program.parent.mkdir(parents=True, exist_ok=True)
        heard = self.root.parent / f"{program.name}.heard"
        program.write_text(
            f'#!/bin/sh\necho "$@ ${{NOTIFY_SOCKET-}}" >"{heard}"\n'
            f'env >"{heard.with_suffix(".had")}"\n{does}\n'
        )
        program.chmod(0o755)
        return program

    def heard(self, name):
        return (self.root.parent / f"{name}.heard").read_text().split()

    def had(self, name):
        lines = (self.root.parent / f"{name}.had").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def updates(self, kind=None, **changes):
        installation = kind or Installation(kind="versions", root=self.root)
        told = {"environment": self.environment, "installation": lambda: installation}
        given = {**told, **changes}
        return UpdatesByOwner(lambda installed: installed.root / "bin" / "byoi", **given)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


async def test_an_installation_of_one_user_is_looked_for_and_replaced_from_here(place):
    updates = place.updates(platform="linux")
    ways = updates.ways()
    assert (ways.can_look, ways.can_install, ways.instead) == (True, True, None)
    await updates.look()
    assert place.heard("byoi") == ["update", "--check"]  # and nothing meant for the node alone
    await updates.install()
    heard = place.heard("systemd-run")
    assert heard[0] == "--user"
    assert f"--unit={asked.UNIT}" in heard
    assert heard[-3:] == ["--", str(place.program), "update"]


async def test_what_replaces_the_node_has_its_variables_and_shows_none_of_their_values(place):
    theirs = {
        "BYOI_DATA_DIR": "/data",
        "XDG_CONFIG_HOME": "/config",
        "https_proxy": "http://me:secret@proxy",
        "NO_PROXY": "localhost",
        "SSL_CERT_FILE": "/ca.pem",
    }
    odd = {"BYOI_": "", "XDG_RUNTIME_DIR": "/run/user/1", "BYOI_X-Y": "1", "OTHERS": "1"}
    place.environment |= theirs | odd
    await place.updates(platform="linux").install()
    heard = place.heard("systemd-run")
    passed = [word.removeprefix("--setenv=") for word in heard if word.startswith("--setenv")]
    assert sorted(passed) == sorted(theirs)
    assert heard.index("--") > heard.index("--setenv=NO_PROXY")
    assert not any(value in word for value in theirs.values() for word in heard)
    assert theirs.items() <= place.had("systemd-run").items()


@pytest.mark.parametrize(
    ("installation", "told"),
    [
        (Installation(), "git pull"),
        (Installation(kind="container"), "pull the newer image"),
        (Installation(kind="deb", service=SERVICE), "sudo byoi update"),
        (Installation(kind="windows", service=SERVICE), "administrator"),
    ],
)
async def test_what_cannot_be_replaced_from_here_says_what_to_type(place, installation, told):
    updates = place.updates(installation, platform="linux")
    ways = updates.ways()
    assert (ways.can_look, ways.can_install) == (False, False)
    assert told in ways.instead
    for does in (updates.look, updates.install):
        with pytest.raises(UpdateRefused, match=told):
            await does()


@pytest.mark.parametrize("change", [{"platform": "darwin"}, {"environment": {"PATH": "/none"}}])
async def test_a_node_that_nobody_would_start_again_is_replaced_by_hand(place, change):
    updates = place.updates(**{"platform": "linux", **change})
    ways = updates.ways()
    assert (ways.can_look, ways.can_install) == (True, False)
    assert f"{place.program} update" in ways.instead
    with pytest.raises(UpdateRefused, match="update"):
        await updates.install()


async def test_what_the_updater_refuses_is_told_in_its_own_words(place):
    place.make("app/bin/byoi", "echo one >&2; echo 'byoi: the index has expired' >&2; exit 69")
    with pytest.raises(UpdateRefused, match=r"^the index has expired$"):
        await place.updates().look()
    place.make("bin/systemd-run", "exit 1")
    with pytest.raises(UpdateRefused, match=r"ended with 1; or, in a terminal: .*/byoi update"):
        await place.updates(platform="linux").install()


async def test_a_program_that_is_gone_or_does_not_end_is_a_sentence(place, monkeypatch):
    monkeypatch.setattr(asked, "LOOK_SECONDS", 0.05)
    place.make("app/bin/byoi", "exec sleep 600")
    with pytest.raises(UpdateRefused, match="did not end"):
        await place.updates().look()
    place.program.unlink()
    with pytest.raises(UpdateRefused, match="cannot be run"):
        await place.updates().look()


def test_an_installation_that_cannot_be_understood_is_told(place):
    def broken():
        raise ConfigError("installation.json cannot be used")

    assert place.updates(installation=broken).ways().instead == "installation.json cannot be used"
