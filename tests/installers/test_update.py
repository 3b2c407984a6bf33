"""An installed node updates itself in the midst of traffic, and takes a broken version back."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import random
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INDEX = "/srv/index"
NEW, BROKEN = "0.2.0", "0.3.0"
SERVING_SECONDS = 600

sys.path.insert(0, str(ROOT / "installers"))


def load(file: Path):
    name = f"for_updates_{file.parent.name}_{file.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


chaos = load(ROOT / "tests" / "chaos" / "conftest.py")
installed = load(ROOT / "tests" / "installers" / "installed.py")


STEPS = 'STEPS: Final = (Step("the first settings"),)'
CHANGED = {
    NEW: {
        "byoi_agent/config/migrations.py": lambda text: text.replace(
            STEPS, f'{STEPS[:-1]} Step("one more", frozenset({{"night_share"}})))'
        ),
        "byoi_agent/config/settings.py": lambda text: text.replace(
            "    engine: str =", "    night_share: float | None = None\n    engine: str ="
        ),
    },
    BROKEN: {"byoi_agent/cli/run.py": lambda _: "raise SystemExit(1)\n"},
}


class Releases:
    """Two releases of this tree under other numbers: one knows one setting more, one never runs."""

    def __init__(self, folder: Path) -> None:
        import signing
        from repository import Repository

        self.folder = folder
        self.repository = Repository(folder / "index", signing.make_keys(folder / "keys"))
        self.repository.begin()
        for version in (NEW, BROKEN):
            self._add(version)

    def _add(self, version: str) -> None:
        import archive
        import bundle
        import facts
        import wheels

        content = self.folder / version
        wheels.collect(content / "wheels", platform="linux-x86_64", pythons=["3.11"])
        for wheel in wheels.own_wheels(self.folder / f"own-{version}", version=version):
            if wheel.name.startswith("byoi_agent"):
                change_wheel(wheel, CHANGED[version])
            shutil.copyfile(wheel, content / "wheels" / wheel.name)
        (content / "requirements.txt").write_text(bundle.requirements(content / "wheels"))
        about = {**facts.release(), "version": version}
        (content / "release.json").write_text(json.dumps(about))
        top = f"byoi-agent-{version}"
        file = self.folder / f"{top}-linux-x86_64.tar.gz"
        self.repository.add(about, [archive.pack(file, content, top=top, epoch=0)])

    def publish(self, machine, version: str) -> None:
        self.repository.promote(version, "stable", 1.0)
        target = machine.root / INDEX.lstrip("/")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.folder / "index", target)


def change_wheel(wheel: Path, changes) -> None:
    made = wheel.with_suffix(".new")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for each in old.infolist():
            content = old.read(each)
            if each.filename in changes:
                before, content = content, changes[each.filename](content.decode()).encode()
                assert content != before
            new.writestr(each, content)
    made.replace(wheel)


def prepare(machine, scratch: Path, releases: Releases) -> None:
    installed.put_into(machine, scratch)
    home = machine.root / f"opt/byoi/versions/{installed.VERSION}"
    facts = json.loads((home / "installation.json").read_text())
    (home / "installation.json").write_text(json.dumps({**facts, "index": f"file://{INDEX}"}))
    shutil.copyfile(releases.folder / "index/metadata/1.root.json", home / "root.json")
    machine.run("/opt/byoi/bin/byoi", "service", "install", "--system")


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


async def test_a_node_updates_itself_under_traffic_and_takes_a_broken_version_back(
    debian, deployment, heard, tmp_path
):
    releases = await asyncio.to_thread(Releases, tmp_path)
    releases.publish(debian, NEW)
    prepare(debian, tmp_path, releases)
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--rate", "20")
    debian.run("byoi", "config", "set", "engine", engine.ready["url"])
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    debian.run("byoi", "enroll", "--console", deployment.url, BYOI_JOIN_TOKEN=token)
    await serving(deployment, debian, installed.VERSION)
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

    assert debian.run("byoi", "version").startswith(f"byoi {NEW} ")
    code, told = await update(debian, "--unattended")
    assert code == 0
    assert "taken back here" in told
    status = json.loads(debian.run("byoi", "status", "--json"))["update"]
    assert (status["available"], status["last"]["outcome"]) == (BROKEN, "rolled back")
    folder = debian.root / "var/lib/byoi-update"
    assert (folder / "journal.json").stat().st_mode & 0o077 == 0
    assert not (folder / "keeper").exists()

    await goes_back_and_forth_with_the_owners_settings(deployment, debian)


async def goes_back_and_forth_with_the_owners_settings(deployment, machine):
    file = machine.root / "etc/byoi/config.toml"
    whole = f"# mine\nnight_share = 0.5  # by night\n{file.read_text()}"
    file.write_text(whole)
    owner = file.stat().st_uid

    code, told = await update(machine, "--rollback")
    assert code == 0, told
    await serving(deployment, machine, installed.VERSION)
    assert file.read_text().startswith("# mine\n#[settings 2] night_share = 0.5  # by night\n")
    assert file.stat().st_uid == owner != 0

    code, told = await update(machine, "--to", NEW)
    assert code == 0, told
    await serving(deployment, machine, NEW)
    assert file.read_text() == whole
