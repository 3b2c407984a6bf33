"""The bench of the owner's own requests: its reading of a stream, its arithmetic, its order."""

from __future__ import annotations

import http.server
import importlib.util
import json
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location(
        "local_first", ROOT / "benchmarks" / "local_first.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["local_first"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["local_first"]


class Server(http.server.BaseHTTPRequestHandler):
    """Two words in a stream, cut before its end where the prompt says so."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        for text in (None, "a", "b"):
            event = {"choices": [{"delta": {"content": text}}]}
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        if body["messages"][0]["content"] != "cut":
            self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


@pytest.fixture
def door(bench):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        serving.start()
        yield bench.Door(f"http://127.0.0.1:{server.server_port}/v1", "key", "small")
        server.shutdown()
        serving.join()


def test_an_answer_is_timed_to_its_first_word_and_known_whole_by_its_end(bench, door):
    heard = bench.ask(door, "hello", 8)
    assert 0 < heard.first <= heard.last
    assert (heard.tokens, heard.is_whole) == (2, True)
    assert not bench.ask(door, "cut", 8).is_whole


def test_the_whole_measurement_in_its_order(bench, door, monkeypatch):
    monkeypatch.setattr(bench, "QUIET_SECONDS", -2)
    monkeypatch.setattr(bench, "WARM_SECONDS", 0)
    rows = bench.measure(door, door, firsts=2, rows=3, guests=1)
    assert [len(row.firsts) for row in rows] == [3, 2, 6, 2]


def test_the_table_tells_how_much_sooner_than_a_guest(bench):
    rows = [bench.Row("alone", [0.1] * 19 + [0.5]), bench.Row("as one more guest", [2.0, 4.0])]
    lines = bench.table(rows).splitlines()
    assert lines[2] == "| alone | 0.10 s | 0.10 s | 30 times sooner |"
    assert rows[0].p95 == 0.1
    assert rows[1].p95 == 4.0


def test_the_documentation_has_a_table_of_this_form(bench):
    head = bench.table([bench.Row("x", [1.0])]).splitlines()[0]
    assert head in (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
