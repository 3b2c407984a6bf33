"""The machine's owner comes to a real X display and leaves it, while guests are served."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time

import psutil
import pytest
import tomlkit

SMOL = "smollm2-135m-instruct"
AWAY_SECONDS = 2.0
PROMISED_SECONDS = 2.0
DOWNLOAD_SECONDS = 600.0
SETTINGS = {
    "mode": "idle",
    "idle": {"after_minutes": AWAY_SECONDS / 60, "return_minutes": 0.0, "foreign_gpu": "off"},
}
OF_A_DESKTOP = ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")


@pytest.fixture
def display(helper):
    with helper("x_server").XServer() as server:
        yield server.name


@pytest.fixture
def person(display, helper):
    with helper("x_server").Person(display) as person:
        yield person


@pytest.fixture
async def start(deployment):
    """A node that serves while its owner is away; `desktop` is what it is given of one."""

    async def start(**desktop):
        for name in OF_A_DESKTOP:
            deployment.env.pop(name, None)
        await deployment.start_console()
        folder = await deployment.enrol("node")
        (folder / "config.toml").write_text(tomlkit.dumps(SETTINGS))
        deployment.env.update(desktop)
        return await deployment.run_node("node", seconds=DOWNLOAD_SECONDS)

    return start


async def availability(deployment, node):
    headers = {"Authorization": f"Bearer {node.ready['control_token']}"}
    url = f"{node.ready['control_url']}/api/status"
    async with deployment.http.get(url, headers=headers) as response:
        return (await response.json())["availability"]


async def comes_to(deployment, node, state, code=None, seconds=30.0):
    async def held():
        now = await availability(deployment, node)
        return now if now["state"] == state and code in {None, now["code"]} else None

    return await deployment.until(held, seconds)


async def served(deployment):
    async def answer():
        answer = await deployment.chat("Hi", model=SMOL, max_tokens=4)
        return answer if answer.is_complete else None

    return await deployment.until(answer)


def engines(node):
    return [one for one in node.children() if "llamacpp" in command_of(one)]


def command_of(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""  # it has ended


async def taken(deployment, node, touch):
    """From a touch to the machine's return, and no longer than is promised; what holds then."""
    assert engines(node)
    begun = time.monotonic()
    touch()
    held = await comes_to(deployment, node, "yield", seconds=PROMISED_SECONDS)

    async def gone():
        return not engines(node)

    await deployment.until(gone, PROMISED_SECONDS - (time.monotonic() - begun))
    return held


@pytest.mark.slow
async def test_typing_or_a_film_takes_the_machine_and_leaving_it_gives_it_back(
    deployment, start, display, person
):
    node = await start(DISPLAY=display)
    await served(deployment)
    async with asyncio.TaskGroup() as tasks:
        guest = tasks.create_task(deployment.chat("Tell me a story.", model=SMOL, max_tokens=2000))
        await asyncio.sleep(0.3)
        assert (await taken(deployment, node, person.press))["code"] == "active"
    assert not guest.result().is_complete
    assert await comes_to(deployment, node, "serve")
    await served(deployment)
    windows = []
    held = await taken(deployment, node, lambda: windows.append(person.fullscreen()))
    assert (held["code"], "Film" in held["reason"]) == ("fullscreen", True)
    person.close(windows[0])
    assert await comes_to(deployment, node, "serve")


@pytest.mark.slow
async def test_a_service_hears_of_the_desk_by_the_sessions_helper(
    deployment, start, display, person
):
    node = await start()
    folder = deployment.folder / "node"
    helper = await deployment.start_program(
        "byoi", "session", "--data-dir", folder, DISPLAY=display
    )
    try:
        await comes_to(deployment, node, "serve")
        person.move()
        await comes_to(deployment, node, "yield", "active")
        assert await comes_to(deployment, node, "serve")
        await served(deployment)
        assert (await taken(deployment, node, person.move))["code"] == "active"
        await comes_to(deployment, node, "serve")
        helper.send_signal(signal.SIGSTOP)  # it hangs
        await comes_to(deployment, node, "yield", "unreadable")
        helper.send_signal(signal.SIGCONT)
        await comes_to(deployment, node, "serve")
        helper.terminate()
        assert await helper.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            helper.kill()
        await helper.communicate()
