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
SLOW_SECONDS = 90.0
"""Within which any machine has done what it is waited for."""
ENDLESS = {"2": -100}
"""The end of a turn (`<|im_end|>`) is forbidden to SmolLM2: its answers have all their tokens."""
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


async def comes_to(deployment, node, state, code=None, seconds=SLOW_SECONDS):
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


async def taken(helper, deployment, node, touch, leave=lambda: None):
    """From a touch to the machine's return, and no longer than is promised; what holds then.

    `touch` again and again until that was looked at: it holds for no longer than two seconds.
    """
    held = []

    async def come_and_stay():
        leave()
        await comes_to(deployment, node, "serve")
        before = await deployment.until(lambda: running(node))
        begun = time.monotonic()
        touch()
        async with asyncio.TaskGroup() as tasks:
            staying = tasks.create_task(again_and_again(touch))
            held.append(await comes_to(deployment, node, "yield"))

            async def gone():
                return not any(engine.is_running() for engine in before)

            await deployment.until(gone)
            took = time.monotonic() - begun
            staying.cancel()
        return took

    await helper("promise").kept(PROMISED_SECONDS, come_and_stay)
    return held[-1]


async def running(node):
    return engines(node)


async def again_and_again(touch):
    while True:
        await asyncio.sleep(AWAY_SECONDS / 4)
        touch()


@pytest.mark.slow
async def test_typing_or_a_film_takes_the_machine_and_leaving_it_gives_it_back(
    deployment, helper, start, display, person
):
    node = await start(DISPLAY=display)
    await served(deployment)
    answer = helper("deployment").Answer()

    async def has_begun():
        return answer.has_text

    async with asyncio.TaskGroup() as tasks:
        fields = {"model": SMOL, "max_tokens": 1000, "logit_bias": ENDLESS, "into": answer}
        tasks.create_task(deployment.chat("Tell me a story.", **fields))
        await deployment.until(has_begun)
        assert (await taken(helper, deployment, node, person.press))["code"] == "active"
    assert not answer.is_complete
    assert await comes_to(deployment, node, "serve")
    await served(deployment)
    windows = []

    def film():
        if not windows:
            windows.append(person.fullscreen())

    def leave():
        while windows:
            person.close(windows.pop())

    held = await taken(helper, deployment, node, film, leave)
    assert (held["code"], "Film" in held["reason"]) == ("fullscreen", True)
    leave()
    assert await comes_to(deployment, node, "serve")


@pytest.mark.slow
async def test_a_service_hears_of_the_desk_by_the_sessions_helper(
    deployment, helper, start, display, person
):
    node = await start()
    folder = deployment.folder / "node"
    session = await deployment.start_program(
        "byoi", "session", "--data-dir", folder, DISPLAY=display
    )
    try:
        await comes_to(deployment, node, "serve")
        async with asyncio.TaskGroup() as tasks:
            staying = tasks.create_task(again_and_again(person.move))
            await comes_to(deployment, node, "yield", "active")
            staying.cancel()
        assert await comes_to(deployment, node, "serve")
        await served(deployment)
        assert (await taken(helper, deployment, node, person.move))["code"] == "active"
        await comes_to(deployment, node, "serve")
        session.send_signal(signal.SIGSTOP)  # it hangs
        await comes_to(deployment, node, "yield", "unreadable")
        session.send_signal(signal.SIGCONT)
        await comes_to(deployment, node, "serve")
        session.terminate()
        assert await session.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            session.kill()
        await session.communicate()
