"""The package on a real Debian: installed, enrolled, upgraded in the midst of traffic, removed."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODEL = "smollm2-135m-instruct"
SERVING_SECONDS = 600
STATE = "/var/lib/byoi"
SETTINGS = "/etc/byoi/config.toml"


def load(file: Path):
    """A module of another folder of tests."""
    name = f"for_debs_{file.parent.name}_{file.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


chaos = load(HERE.parent / "chaos" / "conftest.py")
debs = load(HERE / "debs.py")


@pytest.fixture
def machine(installed):
    made = installed.machine()
    yield made
    made.close()


async def enrol(deployment, machine, *settings: str) -> None:
    """As its owner does: settings, a token, one command; the service starts by itself."""
    for setting in settings:
        name, _, value = setting.partition("=")
        machine.run("byoi", "config", "set", name, value)
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    (machine.root / "root/token").write_text(token)
    (machine.root / "root/token").chmod(0o600)
    machine.run(
        *("byoi", "enroll", "--console", deployment.url, "--join-token-file", "/root/token")
    )


async def serving(deployment, machine, nodes: int = 1) -> None:
    async def are_serving():
        found = await deployment.nodes()
        await asyncio.sleep(0.2)
        return sum(node["state"] == "online" and bool(node["models"]) for node in found) >= nodes

    try:
        await deployment.until(are_serving, SERVING_SECONDS)
    except TimeoutError:
        told = machine.journal("byoi-agent")[-6000:]
        pytest.fail(f"the console knows {await deployment.nodes()}\n{told}")


async def answers(deployment) -> None:
    answer = await deployment.chat("Say hello.", max_tokens=8)
    assert answer.is_complete, (answer.status, answer.body, answer.broken)


def show(machine, *properties: str) -> list[str]:
    asked = machine.systemctl(
        "show", "byoi-agent", "--value", *(f"-p{name}" for name in properties)
    )
    return asked.split("\n")[: len(properties)]


async def upgrade(machine) -> None:
    """While the test's own clients go on asking."""
    await asyncio.to_thread(machine.run, "apt-get", "install", "--yes", debs.path(debs.NEW))


def test_installing_tells_what_to_type_next_and_starts_nothing_that_spins(installed, machine):
    assert "sudo byoi enroll --console" in installed.said
    assert SETTINGS in installed.said
    assert "alice is now in the group byoi" in installed.said
    assert "byoi" in machine.run("id", "-nG", "alice").split()
    assert "video" in machine.run("id", "-nG", "byoi").split()
    assert machine.state() == "running"
    assert machine.systemctl("is-active", "byoi-agent", check=False).strip() == "inactive"
    assert machine.systemctl("is-enabled", "byoi-agent").strip() == "enabled"
    assert machine.run("byoi", "version").startswith(f"byoi {debs.OLD} ")
    assert machine.run("stat", "-c", "%U:%G %a", SETTINGS) == "byoi:byoi 640\n"
    cached = machine.root / "usr/lib/byoi-agent/lib/python3.11/site-packages/byoi_agent/__pycache__"
    assert list(cached.glob("*.cpython-311.pyc"))
    for page in ("byoi.1.gz", "byoi-run.1.gz"):
        assert (machine.root / "usr/share/man/man1" / page).exists()


async def test_a_machine_enrols_serves_and_is_back_after_a_reboot_and_a_power_cut(
    deployment, machine, released
):
    await deployment.start_console()
    released.give_wheels(machine)
    await enrol(deployment, machine, f"model={MODEL}")
    await serving(deployment, machine)
    await answers(deployment)
    pid, user, closed = show(machine, "MainPID", "User", "NoNewPrivileges")
    assert user == "byoi"
    assert closed == "yes"
    assert machine.run("ps", "-o", "user=", "-p", pid).strip() == "byoi"
    seen = machine.run("runuser", "-u", "alice", "--", "byoi", "status", "--json")
    assert json.loads(seen)["is_serving"]

    machine.run("byoi", "config", "set", "drain_seconds", "7")
    shown = json.loads(machine.run("byoi", "config", "show", "--json"))
    assert "7" in json.dumps(shown)
    assert "drain_seconds = 7" in machine.run("cat", SETTINGS)
    assert show(machine, "MainPID") == [pid]

    await asyncio.to_thread(machine.reboot)
    await serving(deployment, machine)
    await answers(deployment)
    machine.cut_power()
    await asyncio.to_thread(machine.boot)
    await serving(deployment, machine)
    await answers(deployment)


async def test_an_upgrade_of_the_only_node_ends_what_runs_and_loses_nothing(deployment, machine):
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "20")
    await enrol(deployment, machine, f"engine={engine.ready['url']}", "drain_seconds=100")
    await serving(deployment, machine)
    with (machine.root / SETTINGS.lstrip("/")).open("a") as settings:
        settings.write("# by hand\n")
    (before,) = show(machine, "MainPID")

    traffic = chaos.Traffic(deployment, random.Random(7), tokens=(5, 30))
    async with traffic:
        await upgrade(machine)
        await serving(deployment, machine)
        await traffic.go_on(10)  # answers of the new version
    assert {one.verdict for one in traffic.asked} <= {"complete", "error"}, traffic.told
    refused = {one.answer.status for one in traffic.asked if not one.is_complete}
    assert refused <= {503}, traffic.told  # none was cut once it had begun
    await chaos.Books(deployment).check(traffic.asked)
    assert show(machine, "MainPID") != [before]
    assert machine.run("byoi", "version").startswith(f"byoi {debs.NEW} ")
    assert "# by hand" in machine.run("cat", SETTINGS)


async def test_with_a_second_node_an_upgrade_fails_no_request(deployment, machine):
    await deployment.start_console()
    for name in ("inside", "outside"):
        await deployment.start_fake_engine(f"engine-{name}", "--rate", "20")
    inside, outside = (one.ready["url"] for one in deployment.processes[-2:])
    await enrol(deployment, machine, f"engine={inside}", "drain_seconds=100", "local_api=off")
    await deployment.start_node("outside", "--engine", outside)
    await serving(deployment, machine, nodes=2)

    traffic = chaos.Traffic(deployment, random.Random(8), clients=6, tokens=(5, 30))
    async with traffic:
        await upgrade(machine)
        await serving(deployment, machine, nodes=2)
    assert {one.verdict for one in traffic.asked} == {"complete"}, traffic.told
    rows = await chaos.Books(deployment).check(traffic.asked)
    assert len({row["node_id"] for row in rows}) == 2


async def test_removal_keeps_the_node_for_who_comes_back_and_purge_keeps_nothing(
    deployment, machine, installed
):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await enrol(deployment, machine, f"engine={engine.ready['url']}")
    await serving(deployment, machine)
    identity = machine.run("cat", f"{STATE}/identity.json")

    machine.run("apt-get", "remove", "--yes", "byoi-agent")
    assert not machine.run("pgrep", "-u", "byoi", check=False)
    assert not (machine.root / "usr/lib/byoi-agent").exists()
    assert machine.run("cat", f"{STATE}/identity.json") == identity

    machine.run("apt-get", "install", "--yes", debs.path(debs.OLD))
    await serving(deployment, machine)  # without a word of its owner

    gone = machine.run("apt-get", "purge", "--yes", "byoi-agent")
    assert "warning" not in gone.lower()
    after = debs.files(machine)
    changed = {
        name for name in after | installed.files if after.get(name) != installed.files.get(name)
    }
    assert changed <= {"root/token"}
    assert debs.accounts(machine) == installed.accounts
    assert machine.state() == "running"


def test_a_full_disk_stops_an_installation_that_goes_on_once_there_is_room(machine):
    machine.run("apt-get", "purge", "--yes", "byoi-agent")
    machine.run("mkdir", "/etc/byoi")
    machine.run("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", "/etc/byoi")
    machine.run("sh", "-c", "yes | dd of=/etc/byoi/full bs=4k count=1 2>/dev/null || :")
    done = machine.execute("apt-get", "install", "--yes", debs.path(debs.OLD))
    assert done.returncode != 0
    assert "No space left on device" in done.stdout + done.stderr
    machine.run("umount", "/etc/byoi")
    machine.run("dpkg", "--configure", "--pending")
    assert machine.run("byoi", "version").startswith(f"byoi {debs.OLD} ")
    assert "byoi config set" in machine.run("cat", SETTINGS)


@pytest.mark.parametrize("tool", ["shellcheck", pytest.param("lintian", marks=pytest.mark.slow)])
def test_checkers_of_the_distribution_find_nothing(installed, released, tool):
    if (program := shutil.which(tool)) is None:
        pytest.skip(f"needs {tool}: apt install {tool}")
    scripts = sorted((debs.BUILDER.parent / "debian").glob("p*[mt]"))
    what = {
        "shellcheck": ["--shell=dash", *scripts],
        "lintian": ["--fail-on=error,warning", released.package()],
    }[tool]
    done = subprocess.run([program, *what], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
