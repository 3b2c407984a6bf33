"""install.sh as a person types it: at a terminal, and for one person alone."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess

import pytest

MODEL = "smollm2-135m-instruct"
OF_A_PERSON = ("libpam-systemd", "dbus-user-session")
CODE = r"\b[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}\b"
SECONDS = 600


@pytest.fixture
def release(released, tmp_path):
    (tmp_path / "dist").mkdir()
    with released.Release(tmp_path / "dist").served() as release:
        yield release


async def answers(deployment, machine, heard) -> None:
    await heard(machine)
    # Of the likeliest words alone: by chance, so small a model might say nothing.
    answer = await deployment.chat("Say hello.", model=MODEL, max_tokens=8, temperature=0)
    assert answer.is_complete


async def read_until(terminal: subprocess.Popen[str], pattern: str) -> str:
    seen = ""
    while not re.search(pattern, seen):
        letter = await asyncio.to_thread(terminal.stdout.read, 1)
        assert letter, f"it ended:\n{seen}"
        seen += letter
    return seen


@pytest.mark.slow
async def test_at_a_terminal_it_shows_a_code_a_person_approves_and_the_node_serves(
    debian, released, release, deployment, heard
):
    released.give_wheels(debian)
    await deployment.start_console()
    line = f"curl -fsSL {release.url}/install.sh | sh -s -- --console {deployment.url}"
    # script(1) gives it a terminal, on which it asks; what is typed there comes through its pipe.
    with subprocess.Popen(
        debian.command("script", "--quiet", "--return", "--command", line, "/dev/null"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as terminal:
        seen = await read_until(terminal, r"Go on\? \[Y/n\] ")
        terminal.stdin.write("\n")
        terminal.stdin.flush()
        seen += await read_until(terminal, CODE)
        assert f"{deployment.url}/" in seen
        path = f"/api/devices/{re.search(CODE, seen)[0]}"
        await deployment.admin("POST", f"{path}/approve", {"name": "rig", "mode": "dedicated"})
        seen += await asyncio.to_thread(terminal.stdout.read)
        assert terminal.wait() == 0, seen
    assert "byoi computes on" in seen
    assert "this machine is a node" in seen
    await answers(deployment, debian, heard)


@pytest.mark.slow
async def test_one_person_has_a_node_that_serves_also_while_nobody_is_signed_in(
    machines, released, release, deployment, heard
):
    machine = machines(more=OF_A_PERSON)
    released.give_wheels(machine)
    machine.run("useradd", "--create-home", "ada")
    machine.run("loginctl", "enable-linger", "ada")
    machine.systemctl("start", f"user@{machine.run('id', '-u', 'ada').strip()}.service")
    await deployment.start_console()
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]

    def as_ada(line: str, **env: str):
        kept = ",".join(env)
        words = ("runuser", "--login", "ada", f"--whitelist-environment={kept}", "--command", line)
        return machine.execute(*words, seconds=SECONDS, **env)

    order = f"--user --yes --console {deployment.url} --mode dedicated --model {MODEL}"
    script = f"curl -fsSL {release.url}/install.sh | sh -s --"
    done = as_ada(f"{script} {order}", BYOI_JOIN_TOKEN=token)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ada computes on" in done.stdout
    await answers(deployment, machine, heard)
    told = json.loads(as_ada(".local/bin/byoi service status --json").stdout)
    assert (told["scope"], told["state"], told["is_enabled"]) == ("user", "running", True)
    assert machine.run("ps", "-o", "user=", "-p", str(told["pid"])).strip() == "ada"

    await asyncio.to_thread(machine.reboot)
    await answers(deployment, machine, heard)

    gone = as_ada(f"{script} --user --uninstall --purge --yes")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert machine.run("pgrep", "-u", "ada", "-f", "byoi", check=False) == ""
    left = machine.run("find", "/home/ada", "-name", "*byoi*")
    assert left == ""
    assert await deployment.nodes() == [] or all(
        node["state"] == "revoked" for node in await deployment.nodes()
    )
