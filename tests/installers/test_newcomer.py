"""The newcomer's path: a bare Debian, one command, a node that answers; and nothing left after."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

MODEL = "smollm2-135m-instruct"
AT_MOST_SECONDS = 180
INSTALL_SECONDS = 600

OF_THE_SYSTEM = (
    *("proc", "sys", "dev", "run", "tmp", "srv", "root/token"),
    *("var/log", "var/cache/apt", "var/cache/ldconfig", "var/lib/apt", "var/lib/systemd"),
    *("var/lib/dpkg", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-"),
    *("etc/.pwd.lock", "etc/machine-id", "var/cache/debconf", "var/tmp"),
)
"""What apt, dpkg, systemd and useradd keep for themselves whatever is installed."""


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
            facts = (folder / name).lstat()
            is_file = stat.S_ISREG(facts.st_mode)
            size = (facts.st_size, facts.st_mtime_ns) if is_file else ()
            found[str(inside / name)] = (facts.st_mode, facts.st_uid, facts.st_gid, *size)
    return found


def accounts(machine) -> list[str]:
    return [(machine.root / name).read_text() for name in ("etc/passwd", "etc/group")]


def differences(before: dict[str, tuple], after: dict[str, tuple]) -> list[str]:
    return sorted(name for name in before | after if before.get(name) != after.get(name))


@pytest.fixture
def bare(debian, released):
    """A machine with nothing but Debian, and wheels of the engine as if fetched before."""
    debian.copy_in(released.wheels_of_the_engine(), "/srv/wheels")
    (debian.root / "etc/pip.conf").write_text("[global]\nfind-links = /srv/wheels\n")
    return debian


@pytest.fixture
def release(released, tmp_path):
    (tmp_path / "dist").mkdir()
    with released.Release(tmp_path / "dist").served() as release:
        yield release


def install(machine, release, *words: str):
    line = f"curl -fsSL {release.url}/install.sh | sh -s -- {' '.join(words)}"
    return machine.execute("sh", "-c", line, seconds=INSTALL_SECONDS)


async def make_token(deployment, machine) -> None:
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    (machine.root / "root/token").write_text(token)
    (machine.root / "root/token").chmod(0o600)


async def answer_of(deployment) -> str:
    headers = {"Authorization": f"Bearer {deployment.api_key}"}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
    async with deployment.http.post(
        f"{deployment.url}/v1/chat/completions", json=body, headers=headers
    ) as response:
        told = await response.json()
        assert response.status == 200, told
        return told["choices"][0]["message"]["content"]


async def test_one_command_makes_a_bare_debian_a_node_that_answers(
    bare, release, deployment, record_property
):
    await deployment.start_console()
    before, people = tree(bare), accounts(bare)
    order = ("--yes", "--console", deployment.url, "--mode", "dedicated", "--model", MODEL)
    order = (*order, "--join-token-file", "/root/token")

    await make_token(deployment, bare)
    shown = install(bare, release, "--dry-run", *order)
    assert shown.returncode == 0, shown.stderr
    assert differences(before, tree(bare)) == []

    began = time.monotonic()
    done = install(bare, release, *order)
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert "this machine is a node" in done.stdout
    assert seconds < AT_MOST_SECONDS
    record_property("seconds", seconds)
    print(f"one command, {seconds:.0f} s:\n{done.stdout}")
    assert await answer_of(deployment)

    again = install(bare, release, *order)
    assert again.returncode == 0, again.stderr
    assert "nothing was changed" in again.stdout

    gone = install(bare, release, "--uninstall", "--purge", "--yes")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert differences(before, tree(bare)) == []
    assert accounts(bare) == people
