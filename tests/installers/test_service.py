"""The machine's service in a Debian that has booted."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
UNIT = "byoi-agent.service"
ENGINE = "serve_llamacpp.py"
SECONDS = 600.0


@pytest.fixture
def installed():
    name = "installed"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def until(machine, condition, what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition(machine):
        if time.monotonic() > deadline:
            told = machine.systemctl(
                "show", UNIT, "--property=SubState,StatusText,Result,NRestarts"
            )
            raise AssertionError(f"{what}: not so; {told}\n{machine.journal(UNIT)[-4000:]}")
        time.sleep(0.1)


def shown(machine, *names: str) -> dict[str, str]:
    said = machine.systemctl("show", UNIT, f"--property={','.join(names)}")
    return dict(line.split("=", 1) for line in said.splitlines())


def asked(machine) -> dict[str, Any]:
    """What the node tells; zeros of its own where it does not run."""
    said = machine.run("byoi", "status", "--json", check=False)
    return json.loads(said) if said else {"is_serving": False, "queue": 0}


def serves(machine) -> bool:
    return asked(machine)["is_serving"]


def seen_from_within(machine, pid: str, *argv: str) -> str:
    """What a program sees that runs where the node does, as the node's account."""
    user, group = (machine.run("id", flag, "byoi").strip() for flag in ("-u", "-g"))
    within = ("nsenter", "--target", pid, "--mount", "--setuid", user, "--setgid", group)
    done = machine.execute(*within, *argv)
    return done.stdout + done.stderr


async def test_a_machine_gets_its_service_and_loses_it_again(
    debian, installed, released, deployment, heard, helper, tmp_path
):
    installed.put_into(debian, tmp_path)
    before = ours(debian)
    set_up_twice(debian)
    released.give_wheels(debian)
    await deployment.start_console()
    await enrolment_starts_it(debian, deployment)
    pid = shown(debian, "MainPID")["MainPID"]
    it_is_closed(debian, pid)
    a_reload_is_no_restart(debian, pid)
    one_that_stands_still_is_taken_for_dead(debian)
    await heard(debian)
    await requests_end_before_it_does(debian, deployment, helper)
    await one_that_is_revoked_is_left_alone(debian, deployment)

    debian.run("byoi", "service", "uninstall", "--system", "--purge")
    assert ours(debian) == before
    assert "byoi" not in debian.run("cat", "/etc/passwd", "/etc/group")
    facts = json.loads((debian.root / "opt/byoi/versions/0.1.0/installation.json").read_text())
    assert facts["service"] is None


def ours(debian) -> set[str]:
    """All that lies outside /opt and is named after the product."""
    places = ("/etc", "/var", "/usr", "/run/systemd", "/home", "/root")
    said = debian.run("find", *places, "-name", "*byoi*", check=False)
    return {path for path in said.split() if "journal" not in path}


def set_up_twice(debian) -> None:
    byoi = "/opt/byoi/bin/byoi"
    first = json.loads(debian.run(byoi, "service", "install", "--system", "--json"))
    assert f"write /etc/systemd/system/{UNIT}" in first["steps"]
    again = json.loads(debian.run("byoi", "service", "install", "--system", "--json"))
    assert [step for step in again["steps"] if step.startswith(("write /", "link"))] == []
    assert debian.systemctl("--failed", "--no-legend").strip() == ""
    told = json.loads(debian.run("byoi", "service", "status", "--json"))
    assert (told["scope"], told["state"], told["is_enabled"]) == ("system", "stopped", True)
    refused = debian.execute("byoi", "service", "start")
    assert refused.returncode == 78
    assert "not enrolled" in refused.stderr


async def enrolment_starts_it(debian, deployment) -> None:
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    debian.run("byoi", "enroll", "--console", deployment.url, BYOI_JOIN_TOKEN=token)
    await asyncio.to_thread(until, debian, serves, "the node serves once it is enrolled")
    await asyncio.to_thread(until, debian, told("serves"), "its status line says so")
    assert shown(debian, "Type", "ActiveState") == {"Type": "notify", "ActiveState": "active"}


def it_is_closed(debian, pid: str) -> None:
    """What the unit promises, seen from within."""
    status = debian.run("cat", f"/proc/{pid}/status")
    assert re.search(r"CapEff:\s+0+\n", status)
    assert re.search(r"CapBnd:\s+0+\n", status)
    assert re.search(r"NoNewPrivs:\s+1\n", status)
    assert re.search(r"Seccomp:\s+2\n", status)
    debian.run("sh", "-c", "mkdir -p /home/jo && echo mine >/home/jo/diary && chmod -R a+rX /home")
    assert "Permission denied" in seen_from_within(debian, pid, "ls", "/home")
    for place in ("/usr/bin/x", "/etc/x", "/opt/byoi/bin/x", "/boot/x"):
        assert "Read-only file system" in seen_from_within(debian, pid, "touch", place), place
    assert seen_from_within(debian, pid, "touch", "/var/lib/byoi/x", "/tmp/x") == ""
    assert not (debian.root / "tmp/x").exists()
    assert debian.run("stat", "-c", "%a %U", "/var/lib/byoi").split() == ["700", "byoi"]
    assert debian.run("stat", "-c", "%a %G", "/run/byoi").split() == ["750", "byoi"]


def a_reload_is_no_restart(debian, pid: str) -> None:
    debian.run("byoi", "config", "set", "queue", "7")
    debian.run("byoi", "config", "set", "drain_seconds", "100")
    debian.systemctl("reload", UNIT)
    until(debian, lambda machine: asked(machine)["queue"] == 7, "the settings are read again")
    assert shown(debian, "MainPID", "ActiveState") == {"MainPID": pid, "ActiveState": "active"}


def one_that_stands_still_is_taken_for_dead(debian) -> None:
    drop_in = debian.root / f"run/systemd/system/{UNIT}.d/soon.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nWatchdogSec=3s\nRestartSec=100ms\n")
    debian.systemctl("daemon-reload")
    debian.run("byoi", "service", "restart")
    frozen = []
    until(debian, lambda machine: freeze(machine, frozen), "the node is frozen")
    # What is started anew has the patience of the unit again, however slow the machine.
    drop_in.write_text("[Service]\nRestartSec=100ms\n")
    debian.systemctl("daemon-reload")
    until(debian, lambda machine: runs_anew(machine, frozen[-1]), "it is started anew")
    assert int(shown(debian, "NRestarts")["NRestarts"]) >= 1
    drop_in.unlink()
    drop_in.parent.rmdir()
    debian.systemctl("daemon-reload")
    until(debian, serves, "it serves again")


def freeze(machine, frozen: list[str]) -> bool:
    """Whether the node was there to be frozen, whose process is the last of `frozen` then."""
    frozen.append(shown(machine, "MainPID")["MainPID"])
    return frozen[-1] != "0" and machine.execute("kill", "-STOP", frozen[-1]).returncode == 0


def runs_anew(machine, frozen: str) -> bool:
    now = shown(machine, "MainPID", "SubState")
    return now["SubState"] == "running" and now["MainPID"] not in {"0", frozen}


async def requests_end_before_it_does(debian, deployment, helper) -> None:
    """Held by an engine that stands still, so that it runs for as long as anybody looks."""
    async with asyncio.TaskGroup() as tasks:
        answer = await begun(debian, deployment, tasks, helper)
        await asyncio.to_thread(until, debian, told("1 request in flight"), "the request runs")
        tasks.create_task(asyncio.to_thread(debian.run, "byoi", "service", "stop"))
        await asyncio.to_thread(until, debian, told("stops: 1 request to end"), "it is waited for")
        debian.run("pkill", "-CONT", "-f", ENGINE)
    whole = answer.result()
    assert whole.is_complete, (whole.status, whole.body, whole.broken, debian.journal(UNIT)[-4000:])
    assert shown(debian, "SubState", "Result") == {"SubState": "dead", "Result": "success"}


async def begun(debian, deployment, tasks: asyncio.TaskGroup, helper) -> asyncio.Task:
    """An answer in its midst, the engine frozen: before it, a look at the engine would miss it.

    One that was over before the engine stood still was too short; another is asked for.
    """
    while True:
        seen = helper("deployment").Answer()
        asked_for = deployment.chat("Count to a thousand.", max_tokens=500, into=seen)
        answer = tasks.create_task(asked_for)
        while not (seen.has_text or answer.done()):
            await asyncio.sleep(0.01)
        debian.run("pkill", "-STOP", "-f", ENGINE)
        if (await asyncio.to_thread(asked, debian))["running"]:
            return answer
        debian.run("pkill", "-CONT", "-f", ENGINE)
        whole = await answer
        assert whole.is_complete, (whole.status, whole.body, whole.broken)


def told(words: str) -> Callable[[Any], bool]:
    """By the unit's status line."""
    return lambda machine: words in shown(machine, "StatusText")["StatusText"]


async def one_that_is_revoked_is_left_alone(debian, deployment) -> None:
    debian.run("byoi", "service", "start")
    await asyncio.to_thread(until, debian, serves, "it serves again")
    (node,) = await deployment.nodes()
    await deployment.admin("DELETE", f"/api/nodes/{node['node_id']}")
    failed = {"SubState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
    await asyncio.to_thread(
        until, debian, lambda machine: shown(machine, *failed) == failed, "it is left alone"
    )
