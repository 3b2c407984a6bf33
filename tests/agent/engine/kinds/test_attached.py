from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from byoi_agent.clock import SystemClock
from byoi_agent.engine.kinds.attached import Attached
from byoi_agent.engine.kinds.probes import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES
from byoi_agent.engine.process import Ended
from byoi_agent.engine.supervisor import EngineSupervisor
from byoi_agent.errors import EngineError
from byoi_wire.ids import ModelId
from byoi_wire.usage import Usage

OK = (200, {"choices": [{"index": 0}]})


@pytest.fixture
def vllm(engine):
    listed = [{"id": "m", "max_model_len": 2048, "created": 5}]
    engine.table.update(
        {
            "/v1/models": (200, {"data": listed}),
            CHAT: OK,
            "/version": (200, {"version": "0.32.0"}),
            "/tokenize": (200, {"count": 7}),
        }
    )
    return engine


async def test_what_a_server_has_is_found_out_once(vllm):
    kind = Attached(vllm.address)
    assert await kind.prepare(lambda _: None) is None
    (served,) = await kind.discover(vllm.client)
    assert (served.id, served.engine_id, served.context_tokens) == ("m", "m", 2048)
    assert served.routes == (CHAT, COMPLETIONS)
    assert kind.version == "0.32.0"
    before = len(vllm.asked)
    assert await kind.look(vllm.client) == (served,)
    assert vllm.paths()[before:] == ["/v1/models"]


@pytest.mark.parametrize("status", [404, 405, 501, 400, 500])
async def test_a_route_that_does_not_answer_well_is_not_offered(vllm, status):
    vllm.table[EMBEDDINGS] = (200, {"data": []})
    vllm.table[RESPONSES] = (status, {})
    (served,) = await Attached(vllm.address).discover(vllm.client)
    assert served.routes == (CHAT, COMPLETIONS, EMBEDDINGS)


async def test_a_new_connection_finds_out_anew(vllm):
    kind = Attached(vllm.address)
    await kind.discover(vllm.client)
    vllm.table[RESPONSES] = (200, {})
    await kind.prepare(lambda _: None)
    (served,) = await kind.discover(vllm.client)
    assert RESPONSES in served.routes


async def test_only_the_wanted_model_is_offered(vllm):
    vllm.table["/v1/models"] = (200, {"data": [{"id": "m"}, {"id": "n", "meta": {"n_ctx": 512}}]})
    (served,) = await Attached(vllm.address, model=ModelId("n")).discover(vllm.client)
    assert (served.id, served.context_tokens) == ("n", 512)
    with pytest.raises(EngineError, match="does not list x"):
        await Attached(vllm.address, model=ModelId("x")).discover(vllm.client)


@pytest.mark.parametrize("meta", ["large", ["n_ctx", 512], 7, {"n_ctx": "many"}])
async def test_what_a_server_says_beside_a_model_may_be_anything(vllm, meta):
    vllm.table["/v1/models"] = (200, {"data": [{"id": "m", "meta": meta}]})
    (served,) = await Attached(vllm.address).discover(vllm.client)
    assert (served.id, served.context_tokens) == ("m", None)


async def test_a_tokenizer_that_answers_nonsense_is_none(vllm):
    vllm.table["/tokenize"] = (200, b"[" * 100_000)
    kind = Attached(vllm.address)
    await kind.discover(vllm.client)
    assert await kind.count(vllm.client, CHAT, {"messages": []}, "x") is None


async def test_a_list_may_begin_with_models_that_cannot_chat(vllm):
    asked = []

    def chat(body):
        asked.append(body["model"])
        return OK[1] if body["model"] == "m" else {"error": "no chat"}

    vllm.table[CHAT] = (200, chat)
    vllm.table["/v1/models"] = (200, {"data": [{"id": "embed"}, {"id": "m"}, {"id": "n"}]})
    kind = Attached(vllm.address)
    assert [served.id for served in await kind.discover(vllm.client)] == ["embed", "m", "n"]
    assert asked == ["embed", "m"]
    await kind.canary(vllm.client)
    assert asked[-1] == "m"


async def test_a_server_whose_models_do_not_answer_is_not_ready(vllm):
    del vllm.table[CHAT]
    kind = Attached(vllm.address)
    with pytest.raises(EngineError, match="404"):
        await kind.discover(vllm.client)
    with pytest.raises(EngineError, match="not answered yet"):
        await kind.canary(vllm.client)


async def test_a_model_that_was_probed_and_is_gone_is_probed_anew(vllm):
    kind = Attached(vllm.address)
    await kind.discover(vllm.client)
    vllm.table["/v1/models"] = (200, {"data": [{"id": "n"}]})
    (served,) = await kind.look(vllm.client)
    assert served.id == "n"
    assert vllm.asked[-1][2] is None or vllm.asked[-1][2]["model"] == "n"


@pytest.mark.parametrize(
    ("tokenize", "expected"),
    [
        ((200, {"count": 7}), Usage(prompt_tokens=7, completion_tokens=7)),
        ((200, {"tokens": [1, 2]}), Usage(prompt_tokens=2, completion_tokens=2)),
        ((200, {"other": 1}), None),
        ((200, b"no json"), None),
        ((200, [1]), None),
        ((404, {}), None),
    ],
)
async def test_its_own_tokenizer_counts_if_it_has_one_that_we_know(vllm, tokenize, expected):
    vllm.table["/tokenize"] = tokenize
    kind = Attached(vllm.address)
    assert await kind.count(vllm.client, COMPLETIONS, {"prompt": "a"}, "b") is None
    await kind.discover(vllm.client)
    assert await kind.count(vllm.client, COMPLETIONS, {"prompt": "a"}, "b") == expected


async def test_a_vllm_keeps_tenants_apart_and_others_get_no_field_that_they_do_not_know(vllm):
    kind = Attached(vllm.address)
    assert "cache_salt" not in kind.extra_fields
    await kind.discover(vllm.client)
    assert kind.extra_fields == Attached.extra_fields | {"cache_salt"}
    vllm.table["/tokenize"] = (200, {"tokens": [1]})
    await kind.prepare(lambda _: None)
    await kind.discover(vllm.client)
    assert "cache_salt" not in kind.extra_fields


async def test_ollamas_version_is_found_too_and_none_is_no_harm(vllm):
    del vllm.table["/version"]
    kind = Attached(vllm.address)
    await kind.discover(vllm.client)
    assert kind.version is None
    vllm.table["/api/version"] = (200, {"version": "0.17.1"})
    await kind.prepare(lambda _: None)
    await kind.discover(vllm.client)
    assert kind.version == "0.17.1"


async def test_only_fixed_paths_are_ever_asked(vllm):
    kind = Attached(vllm.address)
    await kind.discover(vllm.client)
    await kind.look(vllm.client)
    assert set(vllm.paths()) <= {
        *("/v1/models", CHAT, EMBEDDINGS, RESPONSES, "/version", "/api/version", "/tokenize"),
        *("/api/ps", "/api/v1/models", "/models", "/is_sleeping"),
    }
    assert kind.translate_error(500, b"")[0] == 502
    assert kind.explain(Ended(0))
    assert not kind.extra_fields & {"n_discard", "priority", "chat_template"}


async def test_how_a_server_gives_memory_back_is_asked_where_it_is_on_this_machine(vllm):
    _is_ollama(vllm, "m", "its-owners")
    kind = Attached(vllm.address)
    assert not kind.can_sleep
    with pytest.raises(EngineError, match="no way"):
        await kind.sleep(vllm.client)
    await kind.discover(vllm.client)
    assert kind.can_sleep
    await kind.sleep(vllm.client)
    assert vllm.asked[-2][1:] == (
        "/api/generate",
        {"model": "m", "keep_alive": 0, "stream": False},
    )
    before = len(vllm.asked)
    await kind.wake(vllm.client)
    assert len(vllm.asked) == before


async def test_a_server_elsewhere_holds_no_memory_of_this_machine(vllm):
    vllm.table["/api/ps"] = (200, {"models": []})
    kind = Attached(replace(vllm.address, socket_path=None, host="gpu-box.lan"))
    await kind.discover(vllm.client)
    assert not kind.can_sleep
    assert "/api/ps" not in vllm.paths()


async def test_a_vllm_that_a_node_before_left_asleep_is_woken_before_anything_is_asked(vllm):
    vllm.table["/is_sleeping"] = (200, {"is_sleeping": True})
    vllm.table["/wake_up"] = (200, b"")
    kind = Attached(vllm.address)
    await kind.discover(vllm.client)
    assert vllm.paths().index("/wake_up") < vllm.paths().index(CHAT)


def _is_ollama(vllm, *loaded):
    loaded = dict.fromkeys(loaded)

    def unload(order):
        loaded.pop(order["model"], None)
        return {"done": True}

    vllm.table["/api/ps"] = (200, lambda _: {"models": [{"model": each} for each in loaded]})
    vllm.table["/api/generate"] = (200, unload)


class Life:
    """A supervisor of an attached server, by the real clock."""

    def __init__(self, address, records):
        self.states = asyncio.Queue()
        self.supervisor = EngineSupervisor(
            Attached(address),
            publish=lambda view: self.states.put_nowait(view.state),
            clock=SystemClock(),
            records=records,
        )

    async def until(self, state):
        async with asyncio.timeout(60):
            while await self.states.get() != state:
                pass

    def take_back(self, seconds):
        self.supervisor.release(0.0, SystemClock().monotonic() + seconds)


@pytest.fixture
async def life(vllm, tmp_path):
    _is_ollama(vllm, "m")
    life = Life(vllm.address, tmp_path)
    running = asyncio.ensure_future(life.supervisor.run())
    await life.until("ready")
    yield life
    running.cancel()
    await asyncio.wait({running})


async def test_memory_that_is_wanted_back_is_asked_for_and_the_server_serves_again(life, vllm):
    life.take_back(1.0)
    await life.until("asleep")
    assert vllm.paths()[-2:] == ["/api/generate", "/api/ps"]
    assert life.supervisor.view.lends
    life.supervisor.start()
    await life.until("ready")
    assert CHAT not in vllm.paths()[vllm.paths().index("/api/generate") :]


async def test_a_server_that_refuses_is_left_at_once(life, vllm):
    vllm.table["/api/generate"] = (500, {"error": "busy"})
    life.take_back(30.0)
    await life.until("asleep")
    assert not life.supervisor.view.lends
    life.supervisor.start()
    await life.until("ready")


async def test_a_server_that_is_gone_holds_no_memory(life, vllm, socket_folder):
    (socket_folder / "e.sock").unlink()
    life.take_back(30.0)
    await life.until("asleep")
    assert life.supervisor.view.lends


async def test_a_server_that_ends_once_it_has_obeyed_holds_no_memory(life, vllm, socket_folder):
    looks = iter([{"models": [{"model": "m"}]}])

    def look(_):
        if (told := next(looks, None)) is None:
            (socket_folder / "e.sock").unlink()
            raise ConnectionResetError
        return told

    vllm.table["/api/ps"] = (200, look)
    life.take_back(30.0)
    await life.until("asleep")
    assert life.supervisor.view.lends
    assert vllm.paths()[-3:] == ["/api/ps", "/api/generate", "/api/ps"]


async def test_a_server_that_needs_longer_than_the_owner_was_promised_is_not_left_before(
    life, vllm
):
    looks = []

    def still_loaded(_):
        looks.append(life.supervisor.view.state)
        return {"models": [{"model": "m"}] if len(looks) < 4 else []}

    vllm.table["/api/generate"] = (200, {"done": True})
    vllm.table["/api/ps"] = (200, still_loaded)
    life.take_back(0.0)
    await life.until("asleep")
    assert looks == ["draining"] * 4
    assert life.supervisor.view.lends


async def test_a_server_that_hangs_is_left_in_time(life, vllm, helper):
    vllm.hangs.add("/api/generate")
    life.supervisor.kind.limits = replace(Attached.limits, sleep_seconds=0.3)

    async def take_back():
        begun = SystemClock().monotonic()
        life.take_back(0.3)
        await life.until("asleep")
        took = SystemClock().monotonic() - begun
        life.supervisor.start()
        await life.until("ready")
        return took

    await helper("promise").kept(1.0, take_back)
