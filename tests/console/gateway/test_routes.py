from __future__ import annotations

import asyncio
import json

import pytest

from byoi_console.gateway.relay import Patience
from byoi_console.routing.registry import STOPS
from byoi_wire.messages import Availability, ResetCode

HELLO = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}


async def refused(world, data, method="POST"):
    status, headers, body = await world.ask(data, method)
    assert headers["x-request-id"].startswith("req_")
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return status, error, headers


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b'{"a":NaN}', None),
        (b'{"a":"\\ud800"}', None),
        (b"\xff", None),
        (b'{"a":' + b"[" * 65 + b"]" * 65 + b"}", None),
        (json.dumps({**HELLO, "temperature": "warm"}).encode(), "temperature"),
        (json.dumps({**HELLO, "chat_template": "x"}).encode(), "chat_template"),
        (json.dumps({**HELLO, "api_base": "http://x"}).encode(), "api_base"),
        (json.dumps({"messages": HELLO["messages"]}).encode(), "model"),
    ],
)
async def test_a_bad_body_is_400_with_its_param(world, body, param):
    world.node()
    status, error, _ = await refused(world, world.post(b"/v1/chat/completions", body))
    assert (status, error["param"], error["type"]) == (400, param, "invalid_request_error")


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer bad",
        b"Bearer ",
        b"Basic Zm9v",
        b"good",
        b"",
        b"Bearer ' OR 1=1 --",
        b'Bearer "',
        b"Bearer \xff\xfe\xc3",
        b"Bearer " + b"x" * 15_000,
        b"Bearer good good",
    ],
)
async def test_a_key_that_is_none_is_401(world, value):
    world.node()
    data = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n\r\n" % value
    status, error, headers = await refused(world, data)
    assert (status, error["code"]) == (401, "invalid_api_key")
    assert headers["www-authenticate"] == "Bearer"


async def test_no_key_is_401_before_anything_is_said_of_the_request(world):
    data = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n{"
    assert (await refused(world, data))[0] == 401


async def test_an_unknown_model_is_404_with_near_ones(world):
    world.node(models=("llama-3.1-8b",))
    status, error, _ = await refused(world, world.chat(model="lama-3.1-8b"))
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "llama-3.1-8b" in error["message"]


async def test_a_path_that_a_models_nodes_do_not_answer_at_is_404_and_no_node_is_asked(world):
    node = world.node(routes=("/v1/chat/completions",))
    embed = world.post(b"/v1/embeddings", {"model": "tiny", "input": "a"})
    status, error, headers = await refused(world, embed)
    assert (status, error["code"], error["param"]) == (404, None, "model")
    assert "/v1/embeddings" in error["message"]
    assert "retry-after" not in headers
    assert not node.session.opened


async def test_a_request_goes_to_a_node_whose_engine_answers_at_its_path(world):
    chats = [world.node(f"chat_{n}", routes=("/v1/chat/completions",)) for n in range(6)]
    node = world.node("embeds", slots=1)
    node.session.auto = lambda stream: stream.answer_json({"data": []})
    for _ in range(3):
        embed = world.post(b"/v1/embeddings", {"model": "tiny", "input": "a"})
        status, _, body = await world.ask(embed)
        assert (status, json.loads(body)) == (200, {"data": []})
    assert not any(chat.session.opened for chat in chats)


async def test_a_path_that_only_a_full_node_answers_at_is_waited_for(make_world):
    async with make_world(Patience(candidate=0.01)) as world:
        world.node("chats", routes=("/v1/chat/completions",))
        world.node("embeds", slots=0)
        embed = world.post(b"/v1/embeddings", {"model": "tiny", "input": "a"})
        status, error, _ = await refused(world, embed)
        assert (status, error["code"]) == (503, "no_node_available")


@pytest.mark.parametrize("code", ["paused", "drained", "draining", "gone"])
async def test_a_path_that_only_a_node_at_rest_answers_at_is_not_said_to_be_none(make_world, code):
    async with make_world(Patience(candidate=0.01)) as world:
        world.node("chats", routes=("/v1/chat/completions",))
        node = world.node("embeds")
        match code:
            case "gone":
                world.registry.remove(node.node_id, node)
            case "drained":
                world.registry.set_drained(node.node_id, True)
            case _:
                rests = STOPS if code == "draining" else Availability(serving=False, code=code)
                world.registry.set_availability(node.node_id, rests)
        embed = world.post(b"/v1/embeddings", {"model": "tiny", "input": "a"})
        status, error, headers = await refused(world, embed)
        by_wish = code in {"paused", "drained"}
        assert (status, error["code"]) == (503, "nodes_away" if by_wish else "no_node_available")
        assert int(headers["retry-after"]) > 0


async def test_without_any_node_nobody_can_say_that_a_model_is_unknown(world):
    status, error, headers = await refused(world, world.chat(model="of a node on its way back"))
    assert (status, error["code"]) == (503, "no_node_available")
    assert int(headers["retry-after"]) >= 1


async def test_a_known_model_without_a_node_is_503(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    await world.ask(world.chat())
    world.registry.remove(node.node_id, node)
    status, error, headers = await refused(world, world.chat())
    assert (status, error["code"]) == (503, "no_node_available")
    assert int(headers["retry-after"]) > 0


async def test_a_model_of_an_earlier_run_is_503_until_its_node_is_back(world):
    org_id = world.node(models=("m",)).org_id
    world.registry.recall("node_away", org_id, ["away"])
    world.registry.recall("node_theirs", "org_other", ["theirs"])
    status, error, _ = await refused(world, world.chat(model="away"))
    assert (status, error["code"]) == (503, "no_node_available")
    status, error, headers = await refused(world, world.get(b"/v1/models/away"))
    assert (status, error["code"]) == (503, "no_node_available")
    assert int(headers["retry-after"]) > 0
    status, error, _ = await refused(world, world.chat(model="theirs"))
    assert (status, error["code"]) == (404, "model_not_found")
    world.registry.forget("node_away")
    status, error, _ = await refused(world, world.chat(model="away"))
    assert (status, error["code"]) == (404, "model_not_found")


async def test_a_key_for_other_models_is_403(world):
    world.node()
    status, error, _ = await refused(world, world.chat(key="narrow"))
    assert (status, error["code"]) == (403, "model_not_allowed")


async def test_a_key_s_limit_is_429_with_its_headers(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    status, headers, _ = await world.ask(world.chat(key="slow"))
    assert (status, headers["x-ratelimit-limit-requests"]) == (200, "1")
    status, error, headers = await refused(world, world.chat(key="slow"))
    assert (status, error["code"]) == (429, "rate_limit_exceeded")
    assert int(headers["retry-after"]) > 0
    assert headers["x-ratelimit-remaining-requests"] == "0"


async def test_without_a_ledger_nothing_billable_is_taken(world):
    world.node()
    world.books.is_healthy = False
    status, error, headers = await refused(world, world.chat())
    assert (status, error["code"]) == (503, "not_bookable")
    assert "retry-after" in headers


async def test_an_unknown_route_is_404(world):
    status, error, _ = await refused(world, world.post(b"/v1/images", {}))
    assert (status, error["code"]) == (404, "unknown_url")


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        (b"/v1/chat/completions", b"GET", "POST, OPTIONS"),
        (b"/v1/embeddings", b"DELETE", "POST, OPTIONS"),
        (b"/v1/models", b"PUT", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_405_with_allow(world, path, method, allow):
    status, _, headers = await refused(world, world.get(path, method=method))
    assert (status, headers["allow"]) == (405, allow)


async def test_options_says_what_is_allowed_and_lets_no_browser_in(world):
    status, headers, _ = await world.ask(world.get(b"/v1/responses", method=b"OPTIONS"))
    assert (status, headers["allow"]) == (204, "POST, OPTIONS")
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "header", [b"Content-Encoding: gzip\r\n", b"Content-Encoding: br, gzip\r\n"]
)
async def test_compressed_bodies_are_415(world, header):
    status, _, _ = await refused(world, world.chat(headers=header))
    assert status == 415


@pytest.mark.parametrize("kind", [b"text/plain", b"multipart/form-data; boundary=x", b""])
async def test_other_content_types_are_415(world, kind):
    data = world.chat().replace(b"application/json", kind)
    assert (await refused(world, data))[0] == 415


async def test_models_are_listed_and_described(world):
    world.node(models=("org/tiny", "b"))
    status, headers, body = await world.ask(world.get(b"/v1/models"))
    assert (status, headers["openai-version"]) == (200, "2020-10-01")
    assert int(headers["openai-processing-ms"]) >= 0
    assert [model["id"] for model in json.loads(body)["data"]] == ["b", "org/tiny"]
    for path in (b"/v1/models/org/tiny", b"/v1/models/org%2Ftiny"):
        status, _, body = await world.ask(world.get(path))
        assert (status, json.loads(body)["id"]) == (200, "org/tiny")
    status, error, _ = await refused(world, world.get(b"/v1/models/c"))
    assert (status, error["code"]) == (404, "model_not_found")


async def test_head_has_the_headers_and_no_body(world):
    world.node()
    client = await world.client()
    client.send(world.get(b"/v1/models", method=b"HEAD") + world.get(b"/v1/models"))
    status, headers, _ = await client.answer("HEAD")
    _, _, body = await client.answer()
    assert status == 200
    assert headers["content-length"] == str(len(body))


async def test_dropped_fields_are_named_and_do_not_pass(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    _, headers, _ = await world.ask(world.chat(store=True, user="u", top_k=3))
    assert headers["x-byoi-dropped"] == "store, user"
    sent = node.session.opened[0].request
    assert not {"store", "user"} & set(sent)
    assert sent["top_k"] == 3


async def test_a_client_s_own_request_id_is_not_taken(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    own = b"X-Client-Request-Id: mine\r\nX-Request-Id: mine\r\n"
    _, headers, _ = await world.ask(world.chat(headers=own))
    assert headers["x-request-id"] == node.session.opened[0].head.request_id
    assert headers["x-request-id"] != "mine"


async def test_nodes_learn_neither_the_organisation_nor_the_key(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    await world.ask(world.chat())
    head = node.session.opened[0].head
    assert "org_1" not in head.tenant
    assert head.headers == {}
    assert b"good" not in node.session.opened[0].body


async def counted(world):
    """What was told of the only request; it is told once its answer is written."""
    async with asyncio.timeout(60):
        while not world.answered:
            await asyncio.sleep(0)
    (told,) = world.answered
    assert told.seconds >= 0
    return told[:-1]


async def test_an_answer_is_told_once_to_whoever_counts(world):
    node = world.node()
    node.session.auto = lambda stream: stream.stream_all("x")
    await world.ask(world.chat())
    assert await counted(world) == ("/v1/chat/completions", "tiny", 200, "complete")


async def test_a_model_that_somebody_made_up_is_not_told(world):
    world.node()
    await world.ask(world.chat(model="made-up"))
    assert await counted(world) == ("/v1/chat/completions", "", 404, "refused")


async def test_a_path_that_somebody_made_up_is_not_told(world):
    await world.ask(world.get(b"/v1/made-up"))
    assert await counted(world) == ("", "", 404, "refused")


async def test_an_error_in_the_middle_of_an_answer_counts_as_failed(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    stream = await node.session.next_stream()
    stream.answer_head()
    stream.say("a")
    stream.reset(ResetCode.ENGINE_ERROR)
    assert await counted(world) == ("/v1/chat/completions", "tiny", 200, "failed")


async def test_a_client_that_leaves_counts_as_cancelled(world):
    node = world.node()
    client = await world.client()
    client.send(world.chat())
    await node.session.next_stream()
    client.abort()
    assert await counted(world) == ("/v1/chat/completions", "tiny", 499, "cancelled")


async def test_nobody_to_serve_it_counts_as_failed(world):
    await world.ask(world.chat())
    assert await counted(world) == ("/v1/chat/completions", "tiny", 503, "failed")
