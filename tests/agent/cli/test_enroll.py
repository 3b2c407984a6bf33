from __future__ import annotations

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.config.lock import StateLock
from byoi_agent.identity.keys import raw_public_key

KEY = base64.b64encode(raw_public_key(Ed25519PrivateKey.generate())).decode()


@pytest.fixture
def console():
    """A console that admits everybody and remembers who asked."""
    asked = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            answer = {
                "node_id": f"n{len(asked)}",
                "key_id": "k",
                "console_key": KEY,
                "console_key_id": "c",
                "origin": "http://console",
            }
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        server.asked = asked
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def enroll(byoi, console, tmp_path):
    def run(*arguments):
        where = ("--data-dir", tmp_path / "data", "--key-store", "file")
        return byoi("enroll", "--console", console.url, *where, *arguments)

    return run


def test_the_token_comes_from_the_environment(enroll, console, monkeypatch, tmp_path):
    monkeypatch.setenv("BYOI_JOIN_TOKEN", "byoi-join-x")
    code, out, err = enroll()
    assert code == 0
    assert "Enrolled with http://console as n1." in out
    assert "only you can read" in err
    assert console.asked[0]["join_token"] == "byoi-join-x"
    assert set(console.asked[0]["host"]) == {"name", "os", "architecture"}
    assert (tmp_path / "data" / "identity.json").stat().st_mode & 0o077 == 0


def test_the_token_comes_from_a_file_or_standard_input(enroll, console, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("byoi-join-file\n")
    assert enroll("--join-token-file", tmp_path / "token", "--json")[0] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("byoi-join-stdin\n"))
    code, out, _ = enroll("--join-token-file", "-", "--replace", "--json")
    assert code == 0
    assert json.loads(out)["node_id"] == "n2"
    assert [asked["join_token"] for asked in console.asked] == ["byoi-join-file", "byoi-join-stdin"]


def test_the_token_comes_from_systemd(enroll, console, monkeypatch, tmp_path):
    (tmp_path / "join-token").write_text("byoi-join-sealed")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert enroll()[0] == 0
    assert console.asked[0]["join_token"] == "byoi-join-sealed"


def test_a_second_enrolment_needs_replace(enroll, monkeypatch):
    monkeypatch.setenv("BYOI_JOIN_TOKEN", "byoi-join-x")
    enroll()
    code, _, err = enroll()
    assert code == 78
    assert "--replace" in err
    assert enroll("--replace")[0] == 0


def test_without_a_token_the_ways_to_give_one_are_told(enroll):
    code, _, err = enroll()
    assert code == 64
    assert "BYOI_JOIN_TOKEN" in err


def test_a_token_file_that_is_not_there_is_told(enroll, tmp_path):
    code, _, err = enroll("--join-token-file", tmp_path / "none")
    assert code == 78
    assert "cannot be read" in err


def test_without_a_console_or_with_plain_http_elsewhere_nothing_is_sent(byoi, monkeypatch):
    monkeypatch.setenv("BYOI_JOIN_TOKEN", "byoi-join-x")
    assert byoi("enroll")[0] == 64
    code, _, err = byoi("enroll", "--console", "http://console.example")
    assert code == 78
    assert "https://" in err


def test_a_console_that_is_down_is_unavailable_and_leaves_nothing(byoi, monkeypatch, tmp_path):
    monkeypatch.setenv("BYOI_JOIN_TOKEN", "byoi-join-x")
    code, _, err = byoi(
        "enroll", "--console", "http://127.0.0.1:1", "--data-dir", tmp_path, "--key-store", "file"
    )
    assert code == 69
    assert "cannot be reached" in err
    assert not (tmp_path / "identity.json").exists()


def test_a_running_nodes_enrolment_is_not_touched(enroll, monkeypatch, tmp_path):
    monkeypatch.setenv("BYOI_JOIN_TOKEN", "byoi-join-x")
    enroll()
    with StateLock(tmp_path / "data" / "byoi.lock"):
        code, _, err = enroll("--replace")
    assert code == 69
    assert "already running" in err
