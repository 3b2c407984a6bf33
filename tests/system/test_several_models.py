"""Several real models on one node, of which the memory holds one at a time."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

from byoi_agent.control.client import ControlClient
from byoi_agent.models.catalogue import CATALOGUE
from byoi_agent.models.hub import ModelStore

CLIENTS, ASKS = 3, 2


@pytest.fixture
def models(deployment, tmp_path):
    """Copies of a real model, each under a name of its own."""
    entry = CATALOGUE[0]
    original = ModelStore(Path.home() / ".cache/byoi/models").path_of(entry)
    if not original.exists():
        pytest.skip("the model is not here; once: byoi demo")

    def copies(*names):
        made = []
        for name in names:
            made.append(tmp_path / f"{name}.gguf")
            shutil.copy(original, made[-1])
        return made

    return copies


def configuration(node_folder, models, *, budget=1.5, **settings):
    """Each model says that it takes 1 GiB."""
    lines = [f"memory_budget_gib = {budget}"]
    lines += [f"{name} = {value}" for name, value in settings.items()]
    for path, facts in models:
        said = {"memory_gib": 1.0, "context_tokens": 512, "slots": 2, **facts}
        lines += ["[[models]]", f'model = "{path}"']
        lines += [
            f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}"
            for name, value in said.items()
        ]
    (node_folder / "config.toml").write_text("\n".join(lines) + "\n")


async def engines(client):
    report = await asyncio.to_thread(client.status)
    return {engine.key: engine for engine in report.engines}


async def until_state(deployment, client, **wanted):
    async def so():
        seen = await engines(client)
        return all(seen[key].state == state for key, state in wanted.items()) and seen

    return await deployment.until(so)


async def ask(deployment, model, count=1):
    return [await deployment.chat("Say hello.", model=model, max_tokens=8) for _ in range(count)]


def load_of(deployment, model, clients, is_over):
    """So many clients that ask again and again until `is_over`; each returns its answers."""

    async def one():
        answers = []
        while not is_over.is_set():
            answers.append(await deployment.chat("Tell a story.", model=model, max_tokens=30))
        return answers

    return [asyncio.create_task(one()) for _ in range(clients)]


@pytest.mark.slow
async def test_swapping_and_reloading_under_load_loses_no_request(deployment, models):
    await deployment.start_console()
    folder = await deployment.enrol("node")
    one, two, three = models("one", "two", "three")
    (folder / "config.toml").write_text(f'model = "{one}"\nslots = 2\ncontext_tokens = 512\n')
    node = await deployment.run_node("node")
    client = ControlClient(socket_path=node.ready["control_socket"])

    async def busy():
        report = await asyncio.to_thread(client.status)
        return report.running >= 2 and report.waiting >= 2

    async def reload_while_busy(models, **settings):
        await deployment.until(busy)
        configuration(folder, models, **settings)
        await asyncio.to_thread(client.reload)

    is_over = asyncio.Event()
    clients = load_of(deployment, "one", 5, is_over)
    # From the one engine to several, of which the memory holds one.
    await reload_while_busy([(one, {}), (two, {"priority": 90})])
    await until_state(deployment, client, one="ready", two="stopped")
    # A more important one makes the busy one give way; meanwhile another model comes.
    await deployment.until(busy)
    urgent = [asyncio.create_task(deployment.chat("Hi.", model="two", max_tokens=40))]
    urgent += load_of(deployment, "two", 4, is_over)
    await reload_while_busy([(three, {}), (one, {}), (two, {"priority": 90})])
    seen = await until_state(deployment, client, two="ready")
    assert seen["one"].pid is seen["three"].pid is None, "the memory holds one"
    # It is another engine from now on, while its requests run and those for the first one wait.
    await reload_while_busy([(one, {}), (two, {"priority": 90, "context_tokens": 256})])
    before = seen["two"].pid

    async def followed():
        two = (await engines(client))["two"]
        return two.state == "ready" and two.pid != before

    await deployment.until(followed)
    is_over.set()
    told = await asyncio.gather(*clients, *urgent[1:])
    answers = [await urgent[0], *(answer for each in told for answer in each)]
    assert len(answers) > 12
    lost = [answer for answer in answers if not answer.is_complete]
    assert not lost, lost

    async def booked():
        return len(await deployment.rows()) >= len(answers)

    await deployment.until(booked)
    rows = await deployment.rows()
    assert len(rows) == len(answers)
    assert {(row["outcome"], row["attempt"]) for row in rows} == {("complete", 1)}
    assert "Traceback" not in node.log.read_text()


@pytest.mark.slow
async def test_models_that_do_not_fit_together_take_turns_and_no_request_is_lost(
    deployment, models, is_alive
):
    await deployment.start_console()
    folder = await deployment.enrol("node")
    one, two, three = models("one", "two", "three")
    configuration(folder, [(one, {}), (two, {})])
    node = await deployment.run_node("node")
    client = ControlClient(socket_path=node.ready["control_socket"])
    before = await engines(client)
    assert {key: engine.state for key, engine in before.items()} == {
        "one": "stopped",
        "two": "stopped",
    }

    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(ask(deployment, model, ASKS))
            for model in ("one", "two")
            for _ in range(CLIENTS)
        ]
    answers = [answer for task in asked for answer in task.result()]
    assert all(answer.is_complete for answer in answers), [each.status for each in answers]

    async def booked():
        return len(await deployment.rows()) >= len(answers)

    await deployment.until(booked)
    rows = await deployment.rows()
    assert len(rows) == len(answers) == 2 * CLIENTS * ASKS
    assert {row["model"] for row in rows} == {"one", "two"}

    # One that is killed leaves the other alone, and a reload cuts nobody.
    configuration(folder, [(one, {}), (two, {}), (three, {"priority": 90})], budget=2.5)
    await asyncio.to_thread(client.reload)
    await asyncio.gather(ask(deployment, "one"), ask(deployment, "two"))
    seen = await until_state(deployment, client, one="ready", two="ready", three="stopped")
    long = asyncio.create_task(deployment.chat("Tell a story.", model="two", max_tokens=100))
    await asyncio.to_thread(os.kill, seen["one"].pid, signal.SIGKILL)
    assert (await long).is_complete
    assert (await engines(client))["two"].pid == seen["two"].pid

    # The more important one has its memory while the others only rest; idle ones give it back.
    (answer,) = await ask(deployment, "three")
    assert answer.is_complete
    configuration(
        folder,
        [(one, {}), (three, {"priority": 90})],
        budget=2.5,
        idle_unload_minutes=0.01,
    )
    await asyncio.to_thread(client.reload)
    seen = await until_state(deployment, client, one="stopped", three="stopped")
    assert set(seen) == {"one", "three"}
    assert not [child for child in node.children() if "serve_llamacpp" in " ".join(child.cmdline())]
