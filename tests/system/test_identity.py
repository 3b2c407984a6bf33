"""A node's life with its console: approved by a person, given new keys under load, given back."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from byoi_agent.identity.enrolment import load_identity
from byoi_agent.identity.file_store import FileStore
from byoi_agent.link.connection import connect
from byoi_wire.errors import HandshakeRefused
from byoi_wire.ids import InstanceId

STREAMS = 12
TOKENS = 120
SLOW_SECONDS = 60.0
FIELDS = {"max_tokens": TOKENS, "stream_options": {"include_usage": True}}
EXIT_CONFIG = 78


async def approved(deployment, folder, **choices):
    """A machine that a person has let in: what `byoi enroll --json` said, line by line."""
    command = ("enroll", "--json", "--console", deployment.url)
    process = await deployment.start_program(
        "byoi", *command, "--data-dir", deployment.folder / folder
    )
    first = json.loads(await process.stdout.readline())
    path = f"/api/devices/{first['user_code']}"
    shown = await deployment.admin("GET", path)
    await deployment.admin("POST", f"{path}/approve", choices)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return first, shown, json.loads(out.splitlines()[-1])


async def test_a_machine_that_a_person_approves_serves(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    first, shown, last = await approved(deployment, "node", name="rig", mode="dedicated")
    assert shown["fingerprint"] == first["fingerprint"] == last["fingerprint"]
    assert (last["name"], last["visibility"], last["mode"]) == ("rig", "org", "dedicated")
    await deployment.run_node("node", "--engine", engine.ready["url"])
    assert (await deployment.chat("Hello")).is_complete


@pytest.mark.slow
async def test_the_same_machine_can_take_its_old_place_over(deployment):
    await deployment.start_console()
    *_, first = await approved(deployment, "before", name="rig")
    command = ("enroll", "--json", "--console", deployment.url)
    process = await deployment.start_program(
        "byoi", *command, "--data-dir", deployment.folder / "after"
    )
    code = json.loads(await process.stdout.readline())["user_code"]
    shown = await deployment.admin("GET", f"/api/devices/{code}")
    assert [old["node_id"] for old in shown["previous"]] == [first["node_id"]]
    take_over = {"take_over": first["node_id"]}
    await deployment.admin("POST", f"/api/devices/{code}/approve", take_over)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    again = json.loads(out.splitlines()[-1])
    assert again["node_id"] == first["node_id"]
    assert again["key_id"] != first["key_id"]


@pytest.mark.slow
async def test_a_machine_that_is_denied_leaves_nothing_behind(deployment):
    await deployment.start_console()
    data = deployment.folder / "node"
    process = await deployment.start_program(
        "byoi", "enroll", "--json", "--console", deployment.url, "--data-dir", data
    )
    code = json.loads(await process.stdout.readline())["user_code"]
    await deployment.admin("POST", f"/api/devices/{code}/deny")
    _, err = await process.communicate()
    assert process.returncode == 1
    assert "denied in the console" in err.decode()
    assert not (data / "identity.json").exists()
    assert not list((data / "keys").iterdir())


@pytest.fixture
async def loaded(deployment):
    """A node with many answers, which stand still in their middle until the engine is let go."""
    await deployment.start_console()
    deployment.engine = engine = await deployment.start_fake_engine()
    await deployment.hold(engine, TOKENS // 2)
    slots = ("--slots", str(STREAMS + 1))  # the streams that stand still leave one
    await deployment.start_node("node", "--engine", engine.ready["url"], *slots)

    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(deployment.chat(f"Question {number}", **FIELDS))
            for number in range(STREAMS)
        ]

        async def all_run():
            return (await deployment.engine_stats(engine))["running"] == STREAMS

        await deployment.until(all_run)
        yield running
        await deployment.let_go(engine)


async def all_is_whole(deployment, answers):
    """Every answer complete to the byte, and each request booked once."""
    assert [answer.is_complete for answer in answers] == [True] * STREAMS
    texts = {answer.text for answer in answers}
    assert all(answer.usage["completion_tokens"] == TOKENS for answer in answers)
    whole = await deployment.chat("Question 0", **FIELDS)
    assert whole.text in texts
    booked = STREAMS + 1

    async def rows():
        found = await deployment.rows()
        return found if len(found) == booked else None

    assert [row["attempt"] for row in await deployment.until(rows)] == [1] * booked


@pytest.mark.slow
async def test_an_owner_s_rotation_under_load_costs_no_request(deployment, loaded):
    data = deployment.folder / "node"
    stores = [FileStore(data / "keys")]
    old = load_identity(data / "identity.json", stores)
    told = await deployment.program("byoi", "keys", "rotate", "--json", "--data-dir", data)
    assert json.loads(told)["is_in_use"]
    during = await deployment.chat("One more", max_tokens=5)
    assert during.is_complete
    await deployment.let_go(deployment.engine)
    answers = await asyncio.gather(*loaded)
    new = load_identity(data / "identity.json", stores)
    assert new.key_id == json.loads(told)["key_id"] != old.key_id
    assert len(list((data / "keys").iterdir())) == 1
    with pytest.raises(HandshakeRefused) as refused:
        await connect_as(deployment, old)
    assert refused.value.code in {"reauth", "revoked"}
    assert [answer.is_complete for answer in answers] == [True] * STREAMS
    status = json.loads(await deployment.program("byoi", "status", "--json", "--data-dir", data))
    assert status["link"]["resumes"] >= 1


@pytest.mark.slow
async def test_the_console_s_order_under_load_costs_no_request(deployment, loaded):
    data = deployment.folder / "node"
    old = load_identity(data / "identity.json", [FileStore(data / "keys")])
    await deployment.admin("POST", f"/api/nodes/{old.node_id}/rotate-key")

    async def has_changed():
        record = json.loads((data / "identity.json").read_text())
        return record["key_id"] != old.key_id and record["retired"][-1]["key_store"] is None

    await deployment.until(has_changed)
    await deployment.let_go(deployment.engine)
    await all_is_whole(deployment, await asyncio.gather(*loaded))


@pytest.mark.slow
async def test_a_key_that_was_made_while_the_node_stood_still_is_used_at_the_next_start(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    data = await deployment.enrol("node")
    told = json.loads(
        await deployment.program("byoi", "keys", "rotate", "--json", "--data-dir", data)
    )
    assert not told["is_in_use"]
    await deployment.run_node("node", "--engine", engine.ready["url"])
    assert (await deployment.chat("Hello")).is_complete

    async def has_changed():
        shown = json.loads(await deployment.program("byoi", "keys", "--json", "--data-dir", data))
        return [(key["key_id"] == told["key_id"], key["state"]) for key in shown["keys"]] == [
            (True, "present"),
            (False, "retired"),
        ]

    await deployment.until(has_changed)


async def test_a_place_that_is_given_back_is_gone_on_both_sides(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    node = await deployment.start_node("node", "--engine", engine.ready["url"])
    data = deployment.folder / "node"
    assert (await deployment.chat("Hello")).is_complete
    told = await deployment.program("byoi", "unenroll", "--yes", "--data-dir", data)
    assert "its key is gone" in told
    assert await node.wait(SLOW_SECONDS) == EXIT_CONFIG
    assert not (data / "identity.json").exists()
    assert not list((data / "keys").iterdir())
    assert await deployment.nodes() == []
    [row] = await deployment.until(deployment.rows)
    assert row["completion_tokens"] > 0


async def connect_as(deployment, identity):
    url = deployment.url.replace("http", "ws") + "/agent/v1/connect"
    instance = InstanceId("0" * 32)
    proven = await connect(url, identity, instance, None, tls=None, agent="test")
    with contextlib.suppress(Exception):
        proven.channel.abort()
