"""The Debian package updates itself by dpkg: also where it breaks, and where power goes."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import random
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER_OF_INDEX = "srv/index"
INDEX = f"file:///{FOLDER_OF_INDEX}"
OLD = "0.0.9"
NEW, BROKEN, NEXT = LATER = "0.1.0", "0.2.0", "0.3.0"
SERVING_SECONDS = 600
STEP_SECONDS = 600
FOLDER = "var/lib/byoi-update"
RUN = "usr/lib/byoi-agent/lib/python3.11/site-packages/byoi_agent/cli/run.py"


def load(file: Path):
    name = f"for_update_deb_{file.parent.name}_{file.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


chaos = load(HERE.parent / "chaos" / "conftest.py")
debs = load(HERE / "debs.py")


class Releases:
    """An index, the package that trusts it, and the same package under three later numbers."""

    def __init__(self, folder: Path, package: Path) -> None:
        import signing
        from repository import Repository

        self.folder = folder
        self.repository = Repository(folder / "index", signing.make_keys(folder / "keys"))
        self.repository.begin()
        self.package = debs.renumbered(package, OLD, folder / OLD, self._trust)
        with ThreadPoolExecutor(2) as pool:
            made = list(pool.map(self._renumbered, LATER))
        for version, file in zip(LATER, made, strict=True):
            self._add(version, file)

    def _trust(self, tree: Path) -> None:
        debs.put(tree / debs.HOME / "installation.json", '"index": null', f'"index": "{INDEX}"')
        root = tree / debs.HOME / "root.json"
        shutil.copyfile(self.repository.root_file, root)
        root.chmod(0o644)

    def _renumbered(self, version: str) -> Path:
        change = break_it if version == BROKEN else lambda _: None
        return debs.renumbered(self.package, version, self.folder / version, change)

    def _add(self, version: str, file: Path) -> None:
        import facts

        self.repository.add({**facts.release(), "version": version}, [file])

    def publish(self, machine, version: str) -> None:
        self.repository.promote(version, "stable", 1.0)
        target = machine.root / FOLDER_OF_INDEX
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.folder / "index", target)


def break_it(tree: Path) -> None:
    """Its node ends as soon as it is run."""
    (tree / RUN).write_text("raise SystemExit(1)\n")


async def serving(deployment, machine, version: str) -> None:
    async def is_serving():
        said = await asyncio.to_thread(machine.run, "byoi", "status", "--json", check=False)
        told = json.loads(said) if said else {}
        return told.get("is_serving") and told["agent_version"] == version

    try:
        await deployment.until(is_serving, SERVING_SECONDS)
    except TimeoutError:
        pytest.fail(machine.journal("byoi-agent")[-6000:])


async def update(machine, *words: str) -> tuple[int, str]:
    done = await asyncio.to_thread(machine.execute, "byoi", "update", *words)
    return done.returncode, done.stdout + done.stderr


def state(machine) -> str:
    return json.loads((machine.root / FOLDER / "journal.json").read_text())["state"]["state"]


@pytest.fixture
async def releases(debian, released, tmp_path):
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb: apt install dpkg")
    return await asyncio.to_thread(Releases, tmp_path, released.package())


async def test_a_package_updates_itself_goes_back_from_a_broken_one_and_survives_a_power_cut(
    debian, deployment, heard, releases
):
    releases.publish(debian, NEW)
    debian.copy_in(releases.package, f"/srv/{releases.package.name}")
    debian.run("apt-get", "install", "--yes", f"/srv/{releases.package.name}")
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "20")
    debian.run("byoi", "config", "set", "engine", engine.ready["url"])
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    debian.run("byoi", "enroll", "--console", deployment.url, BYOI_JOIN_TOKEN=token)
    await serving(deployment, debian, OLD)
    await heard(debian)

    traffic = chaos.Traffic(deployment, random.Random(7), tokens=(5, 30))
    async with traffic:
        code, told = await update(debian)
        assert code == 0, told + debian.journal("byoi-agent")[-3000:]
        assert f"{NEW} is installed and has proved itself" in told
        await serving(deployment, debian, NEW)

        releases.publish(debian, BROKEN)
        code, told = await update(debian)
        assert code == 1, told
        assert f"{BROKEN} was taken back, {NEW} runs again" in told
        await serving(deployment, debian, NEW)
        await traffic.go_on(10)
    refused = {one.answer.status for one in traffic.asked if not one.is_complete}
    assert refused <= {503}, traffic.told  # none was cut once it had begun
    await chaos.Books(deployment).check(traffic.asked)
    assert debian.run("dpkg-query", "--show", "byoi-agent").split() == ["byoi-agent", NEW]
    assert not (debian.root / FOLDER / "keeper").exists()

    # No token comes, so that it is being proved for as long as anybody looks.
    await deployment.engine_control(engine, first_token_seconds=3600)
    releases.publish(debian, NEXT)
    updating = debian.start_program("byoi", "update")

    async def is_being_proved():
        return await asyncio.to_thread(state, debian) == "Proving"

    await deployment.until(is_being_proved, STEP_SECONDS)
    debian.cut_power()
    await asyncio.to_thread(updating.communicate)
    await deployment.engine_control(engine, first_token_seconds=0)
    await asyncio.to_thread(debian.boot)
    # What the timer does a minute later.
    await asyncio.to_thread(debian.systemctl, "start", "byoi-update.service")
    await serving(deployment, debian, NEXT)
    assert state(debian) == "Idle"
    assert debian.run("byoi", "version").startswith(f"byoi {NEXT} ")
    assert not (debian.root / FOLDER / "keeper").exists()
