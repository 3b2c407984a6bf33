"""Links that fall silent without an end: noticed soon, and served around meanwhile."""

from __future__ import annotations

import asyncio
import json
import time

NOTICED_SECONDS = 5.0
SLACK_SECONDS = 1.0


async def two_nodes_one_behind_a_proxy(deployment, proxy_to):
    await deployment.start_console()
    proxy = await proxy_to("127.0.0.1", deployment.console_port)
    started = []
    for name, port in (("near", None), ("far", proxy.port)):
        engine = await deployment.start_fake_engine(f"engine-{name}")
        node = await deployment.start_node(name, "--engine", engine.ready["url"], port=port)
        started.append((node, engine))
    return proxy, *started


async def link_of(deployment, name):
    told = await deployment.program(
        "byoi", "status", "--json", "--data-dir", deployment.folder / name
    )
    return json.loads(told)["link"]


async def never_replaced(deployment, node):
    assert node.process.returncode is None
    assert "replaced" not in node.log.read_text()
    assert "replaced" not in deployment.console.log.read_text()


async def test_silence_under_streams_is_noticed_within_five_seconds_and_they_go_on(
    deployment, helper, proxy_to
):
    proxy, (_, near), (node, far) = await two_nodes_one_behind_a_proxy(deployment, proxy_to)
    for engine in (near, far):
        await deployment.hold(engine, 100)
    running = [asyncio.create_task(deployment.chat(f"q {n}", max_tokens=200)) for n in range(6)]

    async def at_both():
        stats = [await deployment.engine_stats(engine) for engine in (near, far)]
        return all(each["running"] > 1 for each in stats)

    await deployment.until(at_both)
    silences = []

    async def fall_silent():
        before = proxy.links
        silences.append(before)
        cut_at = time.monotonic()
        proxy.cut("silence")

        async def dialled():
            return proxy.links > before

        served = [asyncio.create_task(deployment.chat(f"new {n}", max_tokens=3)) for n in range(4)]
        await deployment.until(dialled)
        answers = await asyncio.gather(*served)
        took = time.monotonic() - cut_at
        assert all(answer.is_complete for answer in answers)

        async def resumed():
            return (await link_of(deployment, "far"))["resumes"] == len(silences)

        await deployment.until(resumed)
        return took

    # And a wait before the dial.
    await helper("promise").kept(NOTICED_SECONDS + 2 * SLACK_SECONDS, fall_silent)
    for engine in (near, far):
        await deployment.let_go(engine)
    answers = await asyncio.gather(*running)
    assert all(answer.is_complete for answer in answers)
    assert all(len(answer.text.split()) == 200 for answer in answers)
    assert (await link_of(deployment, "far"))["resumes"] == len(silences)
    await never_replaced(deployment, node)


async def test_silence_on_an_idle_link_delays_a_request_by_five_seconds_at_most(
    deployment, helper, proxy_to
):
    proxy, _, (node, _) = await two_nodes_one_behind_a_proxy(deployment, proxy_to)

    async def ask_in_silence():
        before = proxy.links
        proxy.cut("silence")
        asked_at = time.monotonic()
        answers = await asyncio.gather(
            *(deployment.chat(f"q {n}", max_tokens=3, stream=n % 2 == 0) for n in range(6))
        )
        took = time.monotonic() - asked_at
        assert all(answer.status == 200 and answer.broken is None for answer in answers)

        async def back():
            states = {listed["state"] for listed in await deployment.nodes()}
            return proxy.links > before and states == {"online"}

        await deployment.until(back)
        return took

    await helper("promise").kept(NOTICED_SECONDS + SLACK_SECONDS, ask_in_silence)
    assert (await link_of(deployment, "far"))["state"] == "online"
    answers = await asyncio.gather(*(deployment.chat(f"q {n}", max_tokens=3) for n in range(6)))
    assert all(answer.is_complete for answer in answers)
    await never_replaced(deployment, node)
