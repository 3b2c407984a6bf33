from __future__ import annotations

import http.server
import threading

import pytest
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    SlowRetrievalError,
)

from byoi_agent.update.fetching import Fetcher


@pytest.fixture
def server():
    """Answers with ten pieces; asked through it as a proxy, it notes for whom."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path.endswith("missing"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            if not self.path.endswith("silent"):
                self.wfile.write(b"0123456789"[: 5 if self.path.endswith("short") else 10])
            else:
                stop.wait()

        def log_message(self, *_):
            pass

    asked, stop = [], threading.Event()
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    made.asked, made.url = asked, f"http://127.0.0.1:{made.server_address[1]}"
    yield made
    stop.set()
    made.shutdown()
    made.server_close()


@pytest.fixture
def fetcher(tmp_path):
    return lambda **facts: Fetcher(tmp_path, **facts)


def test_a_file_comes_whole_and_nothing_of_it_stays(server, fetcher, tmp_path):
    assert fetcher().download_bytes(f"{server.url}/a", 10) == b"0123456789"
    assert not list(tmp_path.iterdir())


def test_more_than_was_said_is_not_read(server, fetcher):
    with pytest.raises(DownloadLengthMismatchError, match="larger than 9 bytes"):
        fetcher().download_bytes(f"{server.url}/a", 9)


def test_what_is_missing_is_told_with_its_status(server, fetcher, tmp_path):
    for url in (f"{server.url}/missing", (tmp_path / "missing").as_uri()):
        with pytest.raises(DownloadHTTPError) as told:
            fetcher().download_bytes(url, 10)
        assert told.value.status_code == 404


def test_who_falls_silent_is_not_waited_for(server, fetcher):
    with pytest.raises(SlowRetrievalError):
        fetcher(silence_seconds=0.2).download_bytes(f"{server.url}/silent", 10)


def test_who_trickles_is_not_waited_for(server, fetcher):
    times = iter(range(0, 1000, 60))
    with pytest.raises(SlowRetrievalError, match="10 bytes in 60 seconds"):
        fetcher(now=lambda: next(times)).download_bytes(f"{server.url}/a", 10)


def test_nobody_there_is_told(fetcher):
    with pytest.raises(DownloadError):
        fetcher().download_bytes("http://127.0.0.1:9/a", 10)


def test_the_proxy_of_the_environment_is_asked(server, fetcher, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetcher().download_bytes("http://index.example/a", 10) == b"0123456789"
    assert server.asked == ["http://index.example/a"]
