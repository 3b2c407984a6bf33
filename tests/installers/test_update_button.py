"""One person's node updates itself because its pages were asked to, as systemd --user runs it."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import sys
import urllib.request
from pathlib import Path

import pytest

HERE = Path(__file__).parent
APP = "home/ada/.local/share/byoi/app"
BYOI = ".local/bin/byoi"
MODEL = "smollm2-135m-instruct"
SECONDS = 600


def load(name: str):
    known = f"for_buttons_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, HERE / f"{name}.py")
        sys.modules[known] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[known])
    return sys.modules[known]


updates = load("test_update")


@pytest.fixture
def release(released, tmp_path):
    (tmp_path / "dist").mkdir()
    with released.Release(tmp_path / "dist").served() as release:
        yield release


class Ada:
    """Who has the machine for herself, and a node on it that only she may command."""

    def __init__(self, machine) -> None:
        self.machine = machine
        machine.run("useradd", "--create-home", "ada")
        machine.run("loginctl", "enable-linger", "ada")
        machine.systemctl("start", f"user@{machine.run('id', '-u', 'ada').strip()}.service")

    def types(self, line: str, **env: str) -> str:
        kept = ",".join(env)
        words = ("runuser", "--login", "ada", f"--whitelist-environment={kept}", "--command", line)
        done = self.machine.execute(*words, seconds=SECONDS, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def presses(self, method: str, path: str):
        """What her dashboard sends, by the token that only she can read."""
        (place,) = (self.machine.root / "home/ada").rglob("control.json")
        told = json.loads(place.read_text())
        request = urllib.request.Request(
            told["control_url"] + path,
            method=method,
            headers={"authorization": f"Bearer {told['control_token']}"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.loads(answer.read())


def knows_the_index(machine, releases) -> None:
    home = machine.root / APP / f"versions/{updates.installed.VERSION}"
    about = home / "installation.json"
    facts = {**json.loads(about.read_text()), "index": f"file://{updates.INDEX}"}
    about.write_text(json.dumps(facts))
    shutil.copyfile(releases.folder / "index/metadata/1.root.json", home / "root.json")


@pytest.mark.slow
async def test_look_and_install_on_the_page_bring_the_newer_version_which_serves(
    machines, released, release, deployment, heard, tmp_path
):
    machine = machines(more=("libpam-systemd", "dbus-user-session"))
    releases = await asyncio.to_thread(updates.Releases, tmp_path / "newer")
    releases.publish(machine, updates.NEW)
    released.give_wheels(machine)
    ada = Ada(machine)
    await deployment.start_console()
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    order = f"--user --yes --console {deployment.url} --mode dedicated --model {MODEL}"
    ada.types(f"curl -fsSL {release.url}/install.sh | sh -s -- {order}", BYOI_JOIN_TOKEN=token)
    knows_the_index(machine, releases)
    ada.types(f"{BYOI} service restart")
    await heard(machine)

    status, told = await asyncio.to_thread(ada.presses, "POST", "/api/update/look")
    assert (status, told["known"]["available"]) == (200, updates.NEW), told
    status, told = await asyncio.to_thread(ada.presses, "POST", "/api/update/install")
    assert status == 202, told

    async def is_new():
        said = json.loads(await asyncio.to_thread(ada.types, f"{BYOI} status --json || echo {{}}"))
        return said.get("is_serving") and said["agent_version"] == updates.NEW

    try:
        await deployment.until(is_new, SECONDS)
    except TimeoutError:
        pytest.fail(machine.journal()[-6000:])
    await heard(machine)
    answer = await deployment.chat("Say hello.", model=MODEL, max_tokens=8, temperature=0)
    assert answer.is_complete
    assert ada.types(f"{BYOI} version").startswith(f"byoi {updates.NEW} ")

    async def is_told():
        _, told = await asyncio.to_thread(ada.presses, "GET", "/api/update")
        last = told["known"]["last"]
        return last and (last["new"], last["outcome"]) == (updates.NEW, "updated")

    await deployment.until(is_told, SECONDS)

    # Without a button, too: what its timers start, begun by hand.
    timers = "byoi-update.timer byoi-update-resume.timer"
    assert ada.types("systemctl --user is-active byoi-update.timer").strip() == "active"
    assert ada.types(f"systemctl --user is-enabled {timers}").split() == ["enabled"] * 2
    releases.publish(machine, updates.BROKEN)
    told = machine.root / APP / "update/told.json"
    told.write_text(json.dumps({**json.loads(told.read_text()), "checked_at": None}))
    await asyncio.to_thread(ada.types, "systemctl --user start byoi-update.service || true")
    last = json.loads(told.read_text())["history"][-1]
    assert (last["new"], last["outcome"]) == (updates.BROKEN, "rolled back"), last
    await heard(machine)
