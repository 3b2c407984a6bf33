"""The newcomer's path: a bare Debian, one command, a node that answers; and nothing left after."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import time
from pathlib import Path

import pytest

LOG = "var/log/byoi-install.log"
MODEL = "smollm2-135m-instruct"
AT_MOST_SECONDS = 180
INSTALL_SECONDS = 600
SMALL_BYTES = 4096

OF_THE_SYSTEM = (
    *("proc", "sys", "dev", "run", "tmp", "srv", "root/token"),
    *("var/log", "var/cache/apt", "var/cache/ldconfig", "var/lib/apt", "var/lib/systemd"),
    *("var/lib/dpkg", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-"),
    *("etc/.pwd.lock", "etc/machine-id", "var/cache/debconf", "var/tmp"),
)
"""What apt, dpkg, systemd and useradd keep for themselves whatever is installed."""


ACCOUNTS = {f"etc/{name}" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")}
OF_SYSUSERS = ACCOUNTS | {"etc/sysusers.d"}
"""What systemd-sysusers and userdel write; the folder is systemd's, and empty again."""


def tree(machine) -> dict[str, tuple]:
    """Each file with its rights, its owner and what is in it; folders by rights and owner."""
    root, found = machine.root, {}
    for top, folders, files in os.walk(root):
        folder = Path(top)
        inside = folder.relative_to(root)
        folders[:] = [name for name in folders if str(inside / name) not in OF_THE_SYSTEM]
        for name in (*folders, *files):
            if str(inside / name) in OF_THE_SYSTEM:
                continue
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                found[str(inside / name)] = facts_of(folder / name)
    return found


def facts_of(path: Path) -> tuple:
    facts = path.lstat()
    content: tuple = ()
    if stat.S_ISREG(facts.st_mode):
        content = (path.read_bytes() if facts.st_size < SMALL_BYTES else facts.st_mtime_ns,)
    return (facts.st_mode, facts.st_uid, facts.st_gid, *content)


def changed_accounts(before: dict[str, tuple], after: dict[str, tuple]) -> set[bytes]:
    """The users and groups of which a line came, went or was changed."""

    def lines(found: dict[str, tuple], name: str) -> set[bytes]:
        return set(found[name][-1].splitlines()) if name in found else set()

    changed = [line for name in ACCOUNTS for line in lines(before, name) ^ lines(after, name)]
    return {line.split(b":")[0] for line in changed}


def differences(before: dict[str, tuple], after: dict[str, tuple]) -> list[str]:
    return sorted(name for name in before | after if before.get(name) != after.get(name))


@pytest.fixture
def bare(debian, released):
    """A machine with nothing but Debian, and wheels of the engine as if fetched before."""
    return with_wheels(debian, released)


def with_wheels(machine, released):
    released.give_wheels(machine)
    return machine


@pytest.fixture
def release(released, tmp_path):
    (tmp_path / "dist").mkdir()
    with released.Release(tmp_path / "dist").served() as release:
        yield release


def install(machine, release, *words: str):
    line = f"curl -fsSL {release.url}/install.sh | sh -s -- {' '.join(words)}"
    return machine.execute("sh", "-c", line, seconds=INSTALL_SECONDS)


def seconds_without_processor() -> float:
    """For how long some process here had to wait for one: that is the neighbours' doing."""
    pressure = Path("/proc/pressure/cpu")
    told = pressure.read_text() if pressure.exists() else "total=0"
    return int(re.search(r"total=(\d+)", told)[1]) / 1e6


async def make_token(deployment, machine) -> None:
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    (machine.root / "root/token").write_text(token)
    (machine.root / "root/token").chmod(0o600)


async def answer_of(deployment) -> str:
    """Of the likeliest words alone: by chance, so small a model might say nothing."""
    headers = {"Authorization": f"Bearer {deployment.api_key}"}
    asked = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8, "temperature": 0}
    body = {"model": MODEL, **asked}
    async with deployment.http.post(
        f"{deployment.url}/v1/chat/completions", json=body, headers=headers
    ) as response:
        told = await response.json()
        assert response.status == 200, told
        return told["choices"][0]["message"]["content"]


async def test_one_command_makes_a_bare_debian_a_node_that_answers(
    bare, release, deployment, heard, record_property
):
    await deployment.start_console()
    before = tree(bare)
    order = ("--yes", "--console", deployment.url, "--mode", "dedicated", "--model", MODEL)
    order = (*order, "--join-token-file", "/root/token")

    await make_token(deployment, bare)
    shown = install(bare, release, "--dry-run", *order)
    assert shown.returncode == 0, shown.stderr
    assert differences(before, tree(bare)) == []

    began, waited = time.monotonic(), seconds_without_processor()
    done = install(bare, release, *order)
    seconds = time.monotonic() - began - (seconds_without_processor() - waited)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "this machine is a node" in done.stdout
    assert seconds < AT_MOST_SECONDS
    record_property("seconds", seconds)
    print(f"one command, {seconds:.0f} s:\n{done.stdout}")
    await heard(bare)
    assert await answer_of(deployment)

    again = install(bare, release, *order)
    assert again.returncode == 0, again.stderr
    assert "nothing was changed" in again.stdout

    gone = install(bare, release, "--uninstall", "--purge", "--yes")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert differences(before, tree(bare)) == []


async def test_without_apt_it_is_a_folder_of_its_own_and_a_wrong_token_is_told(
    machines, released, release, deployment, heard
):
    machine = with_wheels(machines(), released)
    await deployment.start_console()
    for program in ("apt-get", "apt-cache", "dpkg"):
        (machine.root / "usr/bin" / program).unlink()
    before = tree(machine)
    order = ("--yes", "--console", deployment.url, "--mode", "dedicated")
    order = (*order, "--model", MODEL, "--join-token-file", "/root/token")

    (machine.root / "root/token").write_text("byoi-join-of-nobody")
    refused = install(machine, release, *order)
    assert refused.returncode == 69, refused.stdout + refused.stderr
    assert "byoi is installed, but this machine is not enrolled" in refused.stderr
    assert machine.run("/usr/local/bin/byoi", "version").startswith("byoi ")

    await make_token(deployment, machine)
    done = install(machine, release, *order)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "byoi computes on" in done.stdout
    await heard(machine)
    assert await answer_of(deployment)
    described = json.loads(machine.run("cat", "/opt/byoi/current/installation.json"))
    assert (described["kind"], described["service"]["account"]) == ("versions", "byoi")

    other = install(machine, release, "--yes", "--method", "deb")
    assert other.returncode == 1
    assert "two would fight over one service" in other.stderr

    gone = install(machine, release, "--uninstall", "--purge", "--yes")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    after = tree(machine)
    assert set(differences(before, after)) <= OF_SYSUSERS
    assert list((machine.root / "etc/sysusers.d").glob("*")) == []
    assert changed_accounts(before, after) == set()


def test_nothing_is_installed_that_the_release_did_not_sign(debian, release, released):
    before = tree(debian)
    script = (release.folder / "install.sh").read_bytes()

    (release.folder / "install.sh").write_bytes(script[: len(script) * 2 // 3])
    assert install(debian, release, "--yes").returncode != 0

    (release.folder / "install.sh").write_bytes(script)
    with release.file("*.deb").open("ab") as package:
        package.write(b"more")
    damaged = install(debian, release, "--yes")
    assert (damaged.returncode, "is not the file that was signed" in damaged.stderr) == (65, True)

    sums = (release.folder / "SHA256SUMS").read_bytes()
    (release.folder / "SHA256SUMS").write_bytes(sums + b"\n")
    forged = install(debian, release, "--yes")
    assert (forged.returncode, "is not the release's" in forged.stderr) == (65, True)

    (debian.root / "usr/bin/openssl").rename(debian.root / "usr/bin/openssl.away")
    unchecked = install(debian, release, "--yes")
    (debian.root / "usr/bin/openssl.away").rename(debian.root / "usr/bin/openssl")
    assert (unchecked.returncode, "install openssl" in unchecked.stderr) == (1, True)
    assert set(differences(before, tree(debian))) <= {"usr/bin/openssl", LOG}


def test_one_person_installs_without_root_and_takes_it_away_again(debian, release):
    debian.run("useradd", "--create-home", "ada")
    before = tree(debian)
    line = f"curl -fsSL {release.url}/install.sh | sh -s -- --user --yes --no-start"
    debian.run("runuser", "--login", "ada", "--command", line)
    said = debian.run("runuser", "--login", "ada", "--command", ".local/bin/byoi version")
    assert said.startswith("byoi ")
    assert [n for n in differences(before, tree(debian)) if not n.startswith("home/ada/")] == []

    debian.run("runuser", "--login", "ada", "--command", f"{line} --uninstall --purge")
    left = [n for n in differences(before, tree(debian)) if (debian.root / n).is_file()]
    assert left == []
