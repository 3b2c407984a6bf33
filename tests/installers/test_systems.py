"""The package on the other systems that it is for, each with its own Python and systemd."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODEL = "smollm2-135m-instruct"
SYSTEMS = {"trixie": "3.13", "noble": "3.12", "resolute": "3.14"}
"""Debian 13, Ubuntu 24.04 and Ubuntu 26.04, and what `python3` is there."""


def load(file: Path):
    """A module of this folder or another's."""
    name = f"for_systems_{file.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


debs, of_debian_12 = load(HERE / "debs.py"), load(HERE / "test_deb.py")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Both versions, as a release has them but for Debian 12's Python."""
    folder = tmp_path_factory.mktemp("packages")
    return debs.build(folder, debs.OLD, debs.NEW, pythons=tuple(sorted(SYSTEMS.values())))


@pytest.fixture(params=SYSTEMS)
def machine(request, machines, packages, released):
    """With the packages, and the wheels of the engine as if they were fetched before."""
    machine = machines(request.param)
    for package in packages.values():
        machine.copy_in(package, f"/srv/{package.name}")
    released.give_wheels(machine)
    machine.python = SYSTEMS[request.param]
    return machine


async def answers(deployment, machine, heard) -> None:
    await heard(machine)
    answer = await deployment.chat("Say hello.", max_tokens=8, temperature=0)
    assert answer.is_complete


@pytest.mark.slow
async def test_a_node_is_installed_serves_is_back_after_a_reboot_upgraded_and_purged(
    deployment, machine, heard
):
    files, accounts = debs.files(machine), debs.accounts(machine)
    await deployment.start_console()
    said = machine.run("apt-get", "install", "--yes", debs.path(debs.OLD), seconds=300)
    assert "sudo byoi enroll --console" in said
    assert f"Python {machine.python}." in machine.run("byoi", "version")
    assert machine.state() == "running"

    await of_debian_12.enrol(deployment, machine, f"model={MODEL}")
    await answers(deployment, machine, heard)
    await asyncio.to_thread(machine.reboot)
    await answers(deployment, machine, heard)

    await of_debian_12.upgrade(machine)
    assert machine.run("byoi", "version").startswith(f"byoi {debs.NEW} ")
    await answers(deployment, machine, heard)
    told = machine.journal("byoi-agent")
    for trouble in ("Traceback", "Warning", "Unknown key", "Failed"):
        assert trouble not in told

    machine.run("apt-get", "purge", "--yes", "byoi-agent")
    after = debs.files(machine)
    changed = {name for name in after | files if after.get(name) != files.get(name)}
    assert changed == {"root/token"}
    assert debs.accounts(machine) == accounts
    assert machine.state() == "running"
