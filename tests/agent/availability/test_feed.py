from __future__ import annotations

import asyncio
import gzip
import os

import pytest
from aiohttp import web

from byoi_agent.availability import feed
from byoi_agent.availability.feed import FeedUnread, fetch, shown, stamp_of

GOOD = b'[{"at": "2026-11-21T12:00Z", "value": 180}]'


@pytest.fixture
async def served():
    """A server that answers as a test says; gives its URL and the requests that came."""
    asked, answers = [], {}

    async def answer(request):
        asked.append(request.path_qs)
        return await answers[request.path](request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}", answers, asked
    await runner.cleanup()


def says(*, body=GOOD, status=200, headers=None):
    async def answer(request):
        return web.Response(status=status, body=body, headers=headers)

    return answer


async def test_a_url_is_read_with_its_query(served):
    url, answers, asked = served
    answers["/intensity"] = says()
    forecast = await fetch(f"{url}/intensity?zone=DE")
    assert [one.value for one in forecast.slots] == [180]
    assert asked == ["/intensity?zone=DE"]


async def test_a_redirect_is_told_and_not_followed(served):
    url, answers, asked = served
    answers["/old"] = says(status=302, headers={"location": f"{url}/new?key=secret"})
    with pytest.raises(FeedUnread, match=r"redirects to http://127.0.0.1:\d+/new\?…, which is not"):
        await fetch(f"{url}/old")
    assert asked == ["/old"]


@pytest.mark.parametrize("status", [204, 304, 404, 500])
async def test_another_status_is_told(served, status):
    url, answers, _ = served
    answers["/feed"] = says(status=status, body=None)
    with pytest.raises(FeedUnread, match=f"answered {status}"):
        await fetch(f"{url}/feed")


async def test_what_is_larger_than_any_forecast_is_read_no_further(served, monkeypatch):
    url, answers, _ = served
    monkeypatch.setattr(feed, "READ_LIMIT_BYTES", 1024 * 1024)
    packed = gzip.compress(b" " * (3 * 1024 * 1024))
    answers["/bomb"] = says(body=packed, headers={"content-encoding": "gzip"})
    with pytest.raises(FeedUnread, match="larger than 1 MiB"):
        await fetch(f"{url}/bomb")


async def test_a_server_that_does_not_end_is_left_in_time(served, monkeypatch):
    url, answers, _ = served
    monkeypatch.setattr(feed, "READ_SECONDS", 0.1)
    ended = asyncio.Event()

    async def slow(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"[")
        await ended.wait()
        return response

    answers["/slow"] = slow
    with pytest.raises(FeedUnread, match="did not come within"):
        await fetch(f"{url}/slow")
    ended.set()


async def test_nobody_there_is_told_in_one_line():
    with pytest.raises(FeedUnread) as told:
        await fetch("http://127.0.0.1:9/feed")
    assert "\n" not in str(told.value)
    assert str(told.value)


async def test_an_address_that_cannot_be_used_is_told_without_its_key():
    with pytest.raises(FeedUnread) as told:
        await fetch("http://jo:pass@127.0.0.1:99999/feed?key=secret")
    assert "pass" not in str(told.value)
    assert "secret" not in str(told.value)


async def test_certificates_that_cannot_be_used_are_told(tmp_path):
    with pytest.raises(FeedUnread, match="ca_file"):
        await fetch("https://127.0.0.1:9/feed", tmp_path / "none.pem")


async def test_a_file_is_read(tmp_path):
    file = tmp_path / "feed.json"
    file.write_bytes(GOOD)
    assert (await fetch(str(file))).slots[0].value == 180


async def test_a_file_that_is_none_is_told(tmp_path):
    with pytest.raises(FeedUnread, match="No such file"):
        await fetch(str(tmp_path / "none"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FeedUnread, match="not a plain file"):
        await fetch(str(tmp_path / "pipe"))
    with pytest.raises(FeedUnread, match=r"directory|plain file"):
        await fetch(str(tmp_path))


async def test_a_file_that_is_no_forecast_is_told(tmp_path):
    file = tmp_path / "feed.json"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(FeedUnread, match="UTF-8"):
        await fetch(str(file))
    file.write_bytes(b" " * (feed.READ_LIMIT_BYTES + 1))
    with pytest.raises(FeedUnread, match="larger than 4 MiB"):
        await fetch(str(file))


async def test_a_reader_that_stumbles_is_a_forecast_that_cannot_be_read(tmp_path, monkeypatch):
    def stumbles(text):
        raise OverflowError("date value out of range")

    monkeypatch.setattr(feed, "read", stumbles)
    (tmp_path / "feed.json").write_bytes(GOOD)
    with pytest.raises(FeedUnread, match="date value out of range"):
        await fetch(str(tmp_path / "feed.json"))


async def test_a_file_that_no_system_can_name_is_told():
    with pytest.raises(FeedUnread, match="null"):
        await fetch("/tmp/\x00x")
    assert stamp_of("/tmp/\x00x") is None


def test_a_source_is_shown_without_what_may_be_secret():
    assert shown("https://jo:pass@grid.example:8443/v1?token=abc") == (
        "https://grid.example:8443/v1?…"
    )
    assert shown("https://grid.example/v1") == "https://grid.example/v1"
    assert shown("/home/jo/feed.csv") == "/home/jo/feed.csv"


def test_a_file_that_changes_is_noticed(tmp_path):
    file = tmp_path / "feed.json"
    assert stamp_of(str(file)) is None
    file.write_bytes(GOOD)
    before = stamp_of(str(file))
    file.write_bytes(GOOD + b"\n")
    assert stamp_of(str(file)) not in {None, before}
    assert stamp_of("https://grid.example/v1") is None
