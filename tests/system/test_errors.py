"""Every refusal and every failure is OpenAI's error object, under a request id, and says enough."""

from __future__ import annotations

import asyncio
import json

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT = "/v1/chat/completions"
MIB = 1024 * 1024
HELLO = [{"role": "user", "content": "Hello"}]
ROUTES = {
    CHAT: {"messages": HELLO},
    "/v1/completions": {"prompt": "Hello"},
    "/v1/embeddings": {"input": "Hello"},
    "/v1/responses": {"input": "Hello"},
}


class Raw:
    """What came back on a bare socket."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        pairs = (line.split(": ", 1) for line in lines if line)
        self.headers = {name.lower(): value for name, value in pairs}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


async def raw(deployment, *parts: bytes) -> Raw:
    """Write bytes as they are; read one answer, which may come before all is written."""
    reader, writer = await asyncio.open_connection("127.0.0.1", deployment.console_port)
    try:
        async with asyncio.timeout(90):
            for part in parts:
                writer.write(part)
            head = await reader.readuntil(b"\r\n\r\n")
            answer = Raw(head, b"")
            answer.body = await reader.readexactly(int(answer.headers["content-length"]))
            return answer
    finally:
        writer.close()


def head_of(deployment, *lines: str, method: str = "POST", path: str = CHAT) -> bytes:
    usual = (
        f"{method} {path} HTTP/1.1",
        "Host: console",
        f"Authorization: Bearer {deployment.api_key}",
        "Content-Type: application/json",
    )
    return "\r\n".join([*usual, *lines, "", ""]).encode("latin-1")


def is_error(answer, status: int, code: str | None = None, param: str | None = None) -> str:
    """The message, of an answer that is wholly as it should be."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-request-id"].startswith("req_")
    assert set(answer.json) == {"error"}
    error = answer.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert (error["code"], error["param"]) == (code, param)
    return error["message"]


async def reached(deployment) -> int:
    """How many requests of clients the engine has ever been given."""
    return max(
        (one["number"] for one in await deployment.engine_requests(deployment.engine)), default=0
    )


# 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{'model': 'x'}",
        b'{"model": NaN}',
        b'{"temperature": 1e999}',
        b'{"model": "\xff"}',
        b'{"model": "\\ud800"}',
        b'{"model": "a"} {"model": "b"}',
        b'{"messages":' + b"[" * 70 + b"]" * 70 + b"}",
        b'{"messages":' + b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_a_body_that_is_no_json_object(shared, body):
    head = head_of(shared, f"Content-Length: {len(body)}")
    is_error(await raw(shared, head, body), 400)


@pytest.mark.parametrize("path", ROUTES)
async def test_fields_of_a_wrong_type_and_fields_left_out(shared, stand_in, path):
    (field,) = ROUTES[path]
    answer = await shared.post(path, {"model": stand_in, field: 3})
    assert field in is_error(answer, 400, "invalid_type", field)
    answer = await shared.post(path, {"model": stand_in})
    assert field in is_error(answer, 400, "missing_required_parameter", field)
    is_error(await shared.post(path, {"model": 3, **ROUTES[path]}), 400, "invalid_type", "model")
    is_error(await shared.post(path, ROUTES[path]), 400, "missing_required_parameter", "model")


STEERING = {
    "api_base": "http://127.0.0.1/",
    "api_key": "sk-x",
    "base_url": "http://127.0.0.1/",
    "bad_words": ["x"],
    "cache_salt": "x",
    "chat_template": "{{ messages }}",
    "documents": [{"text": "x"}],
    "grammar": 'root ::= "x"',
    "guided_decoding_backend": "outlines",
    "guided_grammar": 'root ::= "x"',
    "guided_json": {"type": "object"},
    "guided_regex": "(a+)+$",
    "json_schema": {"type": "object"},
    "kv_transfer_params": {"do_remote_decode": True},
    "logits_processors": ["os.system"],
    "lora": [{"id": 0}],
    "mm_processor_kwargs": {"x": 1},
    "n_discard": -5,
    "n_keep": -1,
    "priority": -1,
    "prompt_embeds": "gASVHgAAAAAAAACMBXBvc2l4",
    "return_token_ids": True,
    "samplers": ["x"],
    "slot_id": 0,
    "structured_outputs": {"grammar": "x"},
    "tokenize": True,
    "vllm_xargs": {"x": 1},
    "__proto__": {},
    "": 1,
}


async def test_fields_that_steer_an_engine_are_refused_by_name_and_never_reach_it(shared, stand_in):
    before = await reached(shared)
    for path, fields in ROUTES.items():
        for name, value in STEERING.items():
            answer = await shared.post(path, {"model": stand_in, **fields, name: value})
            is_error(answer, 400, "unknown_parameter", name)
    assert await reached(shared) == before


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs.tools"),
        ({"messages": [{"role": "user", "content": "x", "prefix": True}]}, "messages[0].prefix"),
        (
            {"stream_options": {"continuous_usage_stats": True}},
            "stream_options.continuous_usage_stats",
        ),
        ({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format.type"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_embeds", "x": 1}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
            "messages[0].content[0].type",
        ),
    ],
)
async def test_nor_do_those_that_hide_inside_of_others(shared, stand_in, fields, param):
    before = await reached(shared)
    answer = await shared.post(CHAT, {"model": stand_in, "messages": HELLO, **fields})
    assert answer.status == 400
    is_error(answer, 400, answer.json["error"]["code"], param)
    assert await reached(shared) == before


async def test_fields_without_effect_are_named_and_do_not_reach_the_engine(shared, stand_in):
    dropped = {"user": "me", "store": True, "metadata": {"a": "b"}, "service_tier": "flex"}
    answer = await shared.chat("what is dropped", model=stand_in, stream=False, **dropped)
    assert answer.headers["x-byoi-dropped"].split(", ") == list(dropped)
    (seen,) = [
        one["body"]
        for one in await shared.engine_requests(shared.engine)
        if "what is dropped" in json.dumps(one["body"])
    ]
    assert not dropped.keys() & seen.keys()


@pytest.mark.parametrize("path", ROUTES)
async def test_a_prompt_beyond_the_context_is_told_with_both_numbers(shared, real, path):
    (field,) = ROUTES[path]
    text = "word " * 9000
    value = [{"role": "user", "content": text}] if field == "messages" else text
    for stream in (False, True) if path != "/v1/embeddings" else (False,):
        extra = {"stream": True} if stream else {}
        answer = await shared.post(path, {"model": real, field: value, **extra})
        message = is_error(answer, 400, "context_length_exceeded", field)
        numbers = [int(word) for word in message.replace(".", "").split() if word.isdigit()]
        assert len(numbers) == 2
        assert numbers[0] < 9000 < numbers[1]


# 401, 403


@pytest.mark.parametrize(
    "header",
    [
        "",
        "X-Nothing: x",
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        "Authorization: Bearer sk-byoi-wrong",
        "Authorization: {key}",
        "Authorization: Basic {key}",
        "Authorization: Bearer {key}x",
        "Authorization: Bearer {key},{key}",
        "Authorization: Bearer ' OR 1=1 --",
        "Authorization: Bearer \xe4\xf6\xfc",
        "Authorization: Bearer " + "k" * 15_000,
        "Api-Key: {key}",
    ],
    ids=lambda header: header[:40],
)
async def test_without_a_good_key(shared, header):
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: x", header.format(key=shared.api_key)]
    head = "\r\n".join([line for line in lines if line] + ["Content-Length: 0", "", ""])
    answer = await raw(shared, head.encode("latin-1"))
    is_error(answer, 401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert shared.api_key not in answer.body.decode()


async def test_a_key_in_another_case_of_the_scheme_is_good(shared, stand_in):
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {shared.api_key}"}
        answer = await shared.post(CHAT, {"model": stand_in, "messages": HELLO}, headers=headers)
        assert answer.status == 200


# 404, 405


@pytest.mark.parametrize(
    ("model", "near"),
    [("stand-on", "stand-in"), ("STAND-IN", "stand-in"), ("gpt-4o", None), ("", None)],
)
async def test_a_model_that_is_not_there(shared, stand_in, model, near):
    for path, fields in ROUTES.items():
        answer = await shared.post(path, {"model": model, **fields})
        message = is_error(answer, 404, "model_not_found", "model")
        assert f"`{model}`" in message
        assert (f"`{near}`" in message) == bool(near)


async def test_a_model_that_is_not_there_is_no_entry_of_the_list_either(shared, stand_in):
    head = head_of(shared, method="GET", path="/v1/models/stand-on")
    assert "`stand-in`" in is_error(await raw(shared, head), 404, "model_not_found", "model")


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/chat",
        "/v1/chat/completions/",
        "/v1//models",
        "/v1/models/",
        "/v1/../v1/nothing",
        "/v1/audio/speech",
        "/v1/%2e%2e/healthz",
        "/v1/load_lora_adapter",
        "/v1/" + "x" * 5000,
    ],
    ids=lambda path: path[:30],
)
async def test_a_path_where_nothing_is(shared, path):
    for method in ("GET", "POST"):
        head = head_of(shared, "Content-Length: 0", method=method, path=path)
        is_error(await raw(shared, head), 404, "unknown_url")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *((method, CHAT, {"POST", "OPTIONS"}) for method in ("GET", "PUT", "DELETE", "PATCH")),
        *((method, "/v1/models", {"GET", "HEAD", "OPTIONS"}) for method in ("POST", "DELETE")),
        ("DELETE", "/v1/models/stand-in", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_a_method_that_is_not_for_this_path(shared, method, path, allowed):
    head = head_of(shared, "Content-Length: 0", method=method, path=path)
    answer = await raw(shared, head)
    is_error(answer, 405, "method_not_supported")
    assert set(answer.headers["allow"].split(", ")) == allowed


# 413, 415, 431, and what is no HTTP


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(shared):
    told = await raw(shared, head_of(shared, f"Content-Length: {8 * MIB + 1}"))
    is_error(told, 413)
    huge = await raw(shared, head_of(shared, "Content-Length: 99999999999999"))
    is_error(huge, 413)


async def test_a_chunked_body_that_grows_too_large_is_refused(shared):
    head = head_of(shared, "Transfer-Encoding: chunked")
    chunk = b"%x\r\n" % MIB + b" " * MIB + b"\r\n"
    is_error(await raw(shared, head, *[chunk] * 8, b"1\r\n"), 413)


async def test_a_body_of_just_the_limit_is_read(shared, stand_in):
    body = json.dumps({"model": stand_in, "messages": HELLO}).encode()
    body = body[:-1] + b" " * (8 * MIB - len(body)) + b"}"
    head = head_of(shared, f"Content-Length: {len(body)}")
    assert (await raw(shared, head, body)).status == 200


@pytest.mark.parametrize(
    "lines",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=" + "x" * 200},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
        {"Content-Type": "application/json", "Content-Encoding": "identity, gzip"},
    ],
    ids=lambda lines: " ".join(lines.values())[:40],
)
async def test_a_body_of_another_kind(shared, lines):
    told = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {shared.api_key}\r\n{told}"
    answer = await raw(shared, (head + "Content-Length: 2\r\n\r\n{}").encode())
    is_error(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "lines",
    [["X-Big: " + "x" * 17_000], [f"X-{n}: {n}" for n in range(3000)]],
    ids=["one", "many"],
)
async def test_headers_that_are_too_large(shared, lines):
    is_error(await raw(shared, head_of(shared, *lines)), 431)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"POST /v1/models HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"POST /v1/models HTTP/1.1\nHost: x\n\n", 400),
        (b"POST /v1/models HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (
            b"POST /v1/models HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"POST /v1/models HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST /v1/models HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /v1/models HTTP/1.1\r\nHost: x\r\nExpect: a-pony\r\n\r\n", 417),
    ],
)
async def test_what_is_no_request(shared, sent, status):
    is_error(await raw(shared, sent), status)


async def test_a_refusal_does_not_spoil_the_connection_for_the_next_request(shared, stand_in):
    body = json.dumps({"model": stand_in, "messages": HELLO}).encode()
    bad = head_of(shared, "Content-Length: 1") + b"{"
    good = head_of(shared, f"Content-Length: {len(body)}", "Connection: close") + body
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.console_port)
    writer.write(bad + good)
    async with asyncio.timeout(90):
        told = await reader.read()
    writer.close()
    assert told.count(b"HTTP/1.1 ") == 2
    assert told.startswith(b"HTTP/1.1 400 ")
    assert b"HTTP/1.1 200 OK\r\n" in told


# 429, 503


async def test_a_key_that_has_asked_enough(shared, stand_in):
    made = await shared.admin("POST", "/api/keys", {"name": "slow", "requests_per_minute": 1})
    headers = {"Authorization": f"Bearer {made['key']}"}
    body = {"model": stand_in, "messages": HELLO}
    first = await shared.post(CHAT, body, headers=headers)
    assert first.status == 200
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    second = await shared.post(CHAT, body, headers=headers)
    is_error(second, 429, "rate_limit_exceeded")
    assert 1 <= int(second.headers["retry-after"]) <= 60


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.slow
async def test_when_the_only_node_is_gone(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    node = await deployment.start_node("node", "--engine", engine.ready["url"])
    assert (await deployment.chat("before")).is_complete
    await node.stop()

    async def is_known():
        return all(one["state"] != "online" for one in await deployment.nodes())

    await deployment.until(is_known)
    answers = [deployment.chat("after", stream=stream) for stream in (False, True)]
    for answer in await asyncio.gather(*answers):
        is_error(answer, 503, "no_node_available")
        assert int(answer.headers["retry-after"]) > 0
    await deployment.run_node("node", "--engine", engine.ready["url"])
    assert (await deployment.chat("again")).is_complete


# An engine that fails


SECRET = "Traceback"


REFUSALS = {
    "context": (400, "context_length_exceeded", "messages"),
    "context_llamacpp": (400, "context_length_exceeded", "messages"),
    "status_400": (400, None, None),
    "status_401": (503, "engine_error", None),
    "status_500": (503, "engine_error", None),
    "status_503": (503, "node_unavailable", None),
    "not_json": (503, "engine_error", None),
}


async def test_an_engine_that_refuses(shared, stand_in):
    async def ask(fault, stream):
        answer = await shared.chat(f"[[fault={fault}]] {stream}", model=stand_in, stream=stream)
        is_error(answer, *REFUSALS[fault])
        assert SECRET not in answer.body.decode()
        if answer.status == 503:
            assert int(answer.headers["retry-after"]) > 0

    # At once, since each waits for another node before it gives up.
    await asyncio.gather(*(ask(fault, stream) for fault in REFUSALS for stream in (False, True)))


async def test_a_request_is_not_held_against_an_engine_that_was_busy(shared, stand_in):
    twice = [shared.chat("again and again", model=stand_in) for _ in range(2)]
    await shared.engine_control(shared.engine, fault="status_503", times=2)
    assert [answer.status for answer in await asyncio.gather(*twice)] == [503, 503]
    assert (await shared.chat("again and again", model=stand_in)).is_complete


async def test_an_engine_that_breaks_off_a_plain_answer(shared, stand_in):
    faults = ("truncated", "reset")
    for answer in await asyncio.gather(
        *(shared.chat(f"[[fault={fault}]]", model=stand_in, stream=False) for fault in faults)
    ):
        is_error(answer, 503, "engine_error")


FAULTS = ("error_event", "error_event_only", "short", "truncated", "reset")


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        *((path, fault) for path in ROUTES if path != "/v1/embeddings" for fault in FAULTS),
        (CHAT, "nul"),
        (CHAT, "not_utf8"),
    ],
)
async def test_an_engine_that_fails_in_mid_stream(shared, stand_in, helper, path, fault):
    (field,) = ROUTES[path]
    text = f"[[fault={fault} after=3]] {path}"
    value = [{"role": "user", "content": text}] if field == "messages" else text
    answer = helper("deployment").Answer()
    await shared.hold(shared.engine, 3)
    async with asyncio.TaskGroup() as tasks:
        body = {"model": stand_in, field: value, "stream": True}
        tasks.create_task(shared.post(path, body, into=answer))

        async def has_begun():
            """Some of it is with the client before it fails."""
            return b"data: " in answer.body

        try:
            await shared.until(has_begun)
        finally:  # other tests have the same engine
            await shared.let_go(shared.engine)
    assert answer.broken is None
    assert answer.status == 200
    *_, last = [
        json.loads(line.removeprefix("data: "))
        for line in answer.body.decode().splitlines()
        if line.startswith("data: ")
    ]
    assert answer.body.endswith(b"\n\n")
    assert b"[DONE]" not in answer.body
    assert b"response.completed" not in answer.body
    assert b"EngineCore" not in answer.body  # its own words stay with the node
    error = last if path == "/v1/responses" else last["error"]
    assert error["code"] in {"engine_error", "upstream_error"}
    assert error["message"]


# What a request names is never fetched


@pytest.fixture
async def canary():
    """A listener on loopback that nobody must come to: its address, and who came."""
    came = []

    async def note(reader, writer):
        came.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], came
    server.close()
    await server.wait_closed()


SPELLINGS = """
http://127.0.0.1:{port}/x.png
HTTP://127.0.0.1:{port}/x.png
hTTps://127.0.0.1:{port}/x.png
http://localhost:{port}/
http://localhost.:{port}/
http://LOCALHOST:{port}/
http://127.1:{port}/
http://127.0.1:{port}/
http://0:{port}/
http://0.0.0.0:{port}/
http://2130706433:{port}/
http://0x7f000001:{port}/
http://0x7f.0.0.1:{port}/
http://0177.0.0.1:{port}/
http://017700000001:{port}/
http://[::1]:{port}/
http://[::]:{port}/
http://[::ffff:127.0.0.1]:{port}/
http://[::ffff:7f00:1]:{port}/
http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/
http://[fe80::1%25lo]:{port}/
http://user:pass@127.0.0.1:{port}/
http://example.com@127.0.0.1:{port}/
http://example.com:80@127.0.0.1:{port}/
http://127.0.0.1:{port}@example.com/
http://example.com#@127.0.0.1:{port}/
http://example.com?@127.0.0.1:{port}/
http://example.com\\@127.0.0.1:{port}/
http://127.0.0.1:{port}\\@example.com/
http:\\\\127.0.0.1:{port}\\x
http:/127.0.0.1:{port}/
http:127.0.0.1:{port}/
http:///127.0.0.1:{port}/
//127.0.0.1:{port}/
/\\127.0.0.1:{port}/
http://127.0.0.1%00.example.com:{port}/
http://127。0。0。1:{port}/
http://①②⑦.⓪.⓪.①:{port}/
http://localtest.me:{port}/
http://127.0.0.1.nip.io:{port}/
http://169.254.169.254/latest/meta-data/
http://metadata.google.internal/
http://10.0.0.1/
http://192.168.0.1/
http://[fd00::1]/
https://example.com/redirect?to=http://127.0.0.1:{port}/
ftp://127.0.0.1:{port}/x
gopher://127.0.0.1:{port}/_GET
dict://127.0.0.1:{port}/
ldap://127.0.0.1:{port}/
ws://127.0.0.1:{port}/
file:///etc/passwd
file://localhost/etc/passwd
file:/etc/passwd
FILE:///etc/passwd
/etc/passwd
../../etc/passwd
jar:http://127.0.0.1:{port}/!/x
unix:///run/byoi/control.sock
javascript:fetch(1)
blob:http://127.0.0.1:{port}/x
DATA:text/plain;base64,eA==
 data:image/png;base64,eA==
url:http://127.0.0.1:{port}/
""".strip("\n").split("\n")


def _media(url: str):
    """Every place of a request in which a medium may stand."""

    def chat(part):
        return CHAT, {"messages": [{"role": "user", "content": [part]}]}

    def response(part):
        return "/v1/responses", {"input": [{"role": "user", "content": [part]}]}

    yield chat({"type": "image_url", "image_url": {"url": url}})
    yield chat({"type": "image_url", "image_url": url})
    yield chat({"type": "file", "file": {"file_data": url}})
    yield response({"type": "input_image", "image_url": url})
    yield response({"type": "input_file", "file_data": url})


async def test_no_url_is_ever_fetched(shared, stand_in, canary):
    port, came = canary
    before = await reached(shared)
    assert len(SPELLINGS) >= 60
    for spelling in SPELLINGS:
        for path, fields in _media(spelling.format(port=port)):
            answer = await shared.post(path, {"model": stand_in, **fields})
            assert answer.status == 400, (spelling, path)
            assert answer.json["error"]["code"] == "invalid_media"
    assert await reached(shared) == before
    assert came == []


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": "http://127.0.0.1:{port}/"}},
        {"type": "audio_url", "audio_url": {"url": "http://127.0.0.1:{port}/"}},
        {"type": "image_url", "image_url": {"url": "data:,x", "path": "http://127.0.0.1:{port}/"}},
        {"type": "file", "file": {"file_id": "http://127.0.0.1:{port}/"}},
        {"image_url": "http://127.0.0.1:{port}/"},
    ],
)
async def test_nor_from_a_part_of_another_kind(shared, stand_in, canary, part):
    port, came = canary
    part = json.loads(json.dumps(part).replace("{port}", str(port)))
    before = await reached(shared)
    answer = await shared.chat([part], model=stand_in)
    assert answer.status == 400
    assert await reached(shared) == before
    assert came == []
