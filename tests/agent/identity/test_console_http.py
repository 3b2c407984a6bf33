from __future__ import annotations

import asyncio
import base64

import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import TestServer

from byoi_agent.errors import ConfigError, IdentityError, LinkError
from byoi_agent.identity.console_http import (
    ANSWER_LIMIT_BYTES,
    AnswerLost,
    ConsoleHttp,
    Reply,
    checked_console_url,
    printable,
    signed,
)


@pytest.fixture
async def asked():
    """A console that answers with what it is told to, and its URL."""
    answers, heard = [], []

    async def door(request):
        heard.append((request.path, await request.json()))
        return answers.pop(0)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", door)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("/")).rstrip("/"), answers, heard
    await server.close()


async def test_an_answer_comes_with_the_console_s_hint(asked):
    url, answers, heard = asked
    answers.append(web.Response(status=503, text="x", headers={"retry-after": "999999"}))
    reply = await ConsoleHttp(url).post("/agent/v1/device", {"a": 1})
    assert reply == Reply(503, b"x", 3600.0)
    assert heard == [("/agent/v1/device", {"a": 1})]


async def test_what_never_left_this_machine_was_not_asked(asked):
    url, answers, _ = asked
    console, nobody = ConsoleHttp(url), ConsoleHttp("http://127.0.0.1:1")
    answers.append(web.Response(text="x"))
    with pytest.raises(LinkError):
        await nobody.post("/agent/v1/token", {})
    assert not nobody.was_asked
    assert not console.was_asked
    await console.post("/agent/v1/token", {})
    assert console.was_asked


async def test_an_answer_in_pieces_is_one_answer(monkeypatch):
    was_read, read_of_its_own = asyncio.Event(), StreamReader.read

    async def read(self, limit):
        piece = await read_of_its_own(self, limit)
        was_read.set()
        return piece

    monkeypatch.setattr(StreamReader, "read", read)

    async def door(reader, writer):
        await reader.readuntil(b"}")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await was_read.wait()
        writer.write(b"5\r\n then\r\n0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(door, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reply = await ConsoleHttp(f"http://127.0.0.1:{port}").post("/", {})
    assert reply == Reply(200, b"first then")


async def test_what_is_no_http_is_told_in_one_line_that_steers_no_terminal():
    async def door(reader, writer):
        await reader.readuntil(b"}")
        writer.write(b"\x1b[2J hello\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(door, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(LinkError) as error:
            await ConsoleHttp(f"http://127.0.0.1:{port}").post("/", {})
    assert "Bad status line" in str(error.value)
    assert str(error.value).isprintable()


async def test_of_an_endless_answer_only_the_beginning_is_read(asked):
    url, answers, _ = asked
    answers.append(web.Response(body=b"x" * (ANSWER_LIMIT_BYTES + 1)))
    assert len((await ConsoleHttp(url).post("/", {})).text) == ANSWER_LIMIT_BYTES


async def test_a_date_as_a_hint_is_none(asked):
    url, answers, _ = asked
    answers.append(web.Response(headers={"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}))
    assert (await ConsoleHttp(url).post("/", {})).retry_after_seconds is None


async def test_a_redirect_is_not_followed(asked):
    url, answers, heard = asked
    answers.append(web.Response(status=307, headers={"location": url + "/elsewhere"}))
    assert (await ConsoleHttp(url).post("/a", {})).status == 307
    assert len(heard) == 1


async def test_a_console_that_hangs_up_can_be_asked_again():
    async def hang_up(_reader, writer):
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(AnswerLost, match="cannot be reached") as caught:
            await ConsoleHttp(f"http://127.0.0.1:{port}").post("/", {})
    assert caught.value.retry


async def test_a_console_that_takes_no_connection_never_had_the_question(monkeypatch):
    given = []

    async def never(_connector, _request, *, timeout, **_how):
        given.append(timeout)
        raise TimeoutError

    monkeypatch.setattr("aiohttp.TCPConnector.connect", never)
    with pytest.raises(LinkError, match="cannot be reached") as caught:
        await ConsoleHttp("http://127.0.0.1:1").post("/", {})
    assert not isinstance(caught.value, AnswerLost)
    assert caught.value.retry
    assert given[0].connect < given[0].total, "the whole time would count as a lost answer"


async def test_a_proxy_that_lets_nobody_through_never_gave_the_question_on(monkeypatch):
    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(LinkError, match="407") as caught:
            await ConsoleHttp("https://console.example").post("/", {})
    assert not isinstance(caught.value, AnswerLost)


async def test_certificates_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        await ConsoleHttp("https://127.0.0.1:1", tmp_path / "ca.pem").post("/", {})


async def test_what_an_api_key_may_read_is_read_up_to_a_limit():
    heard = []

    async def door(request):
        heard.append((request.method, request.path, request.headers["authorization"]))
        return web.Response(text="x" * 200_000)

    app = web.Application()
    app.router.add_get("/api/nodes", door)
    async with TestServer(app) as server:
        http = ConsoleHttp(str(server.make_url("/")).rstrip("/"))
        reply = await http.get("/api/nodes", "byoi-key", 150_000)
    assert len(reply.text) == 150_000
    assert heard == [("GET", "/api/nodes", "Bearer byoi-key")]


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, IdentityError, "refused to dance: no music"),
        (409, IdentityError, "refused to dance: no music"),
        (429, LinkError, "wait a minute"),
        (503, LinkError, "not ready"),
        (500, IdentityError, "answered 500 when asked to dance"),
    ],
)
def test_a_refusal_says_what_was_refused_and_whether_to_try_again(status, kind, words):
    reply = Reply(status, b'{"error": {"message": "no music"}}', 7.0)
    with pytest.raises(kind, match=words) as caught:
        ConsoleHttp("https://c").refuse(reply, "dance")
    if kind is LinkError:
        assert caught.value.retry_after_seconds == 7.0


def test_a_stranger_s_text_is_one_line_that_no_terminal_obeys():
    assert printable("a\x1b[2J\nb" + "c" * 1000) == "a[2Jb" + "c" * 295


def test_a_signature_is_over_the_tag_and_the_parts_with_zero_bytes_between(key):
    signature = base64.b64decode(signed(key, b"tag", b"a", b"bc"))
    key.public_key().verify(signature, b"tag\0a\0bc")


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://console.example/", "https://console.example"),
        ("http://127.0.0.1:8700", "http://127.0.0.1:8700"),
        ("http://localhost:8700/", "http://localhost:8700"),
        ("http://[::1]:8700", "http://[::1]:8700"),
        ("https://example/byoi/", "https://example/byoi"),
        ("https://example/v1/", "https://example"),
        ("https://example/byoi/v1", "https://example/byoi"),
    ],
)
def test_a_console_url_is_taken(url, base):
    assert checked_console_url(url) == base


@pytest.mark.parametrize(
    "url",
    [
        "http://console.example",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "console.example",
        "ftp://console.example",
        "https://",
        "https://user:pass@console.example",
        "https://console.example/?q=1",
        "https://console.example:port",
        "http://[::1",
    ],
)
def test_any_other_url_is_refused(url):
    with pytest.raises(ConfigError):
        checked_console_url(url)
