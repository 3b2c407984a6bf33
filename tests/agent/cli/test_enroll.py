from __future__ import annotations

import base64
import io
import json
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byoi_agent.config.installation import Installation
from byoi_agent.config.lock import StateLock
from byoi_agent.identity.keys import raw_public_key
from byoi_agent.service.linux import PLACES
from byoi_wire.fingerprint import fingerprint, spoken

KEY = base64.b64encode(raw_public_key(Ed25519PrivateKey.generate())).decode()

CODE = {
    "device_code": "dev-secret",
    "user_code": "BCDF-GHJK",
    "verification_uri": "http://console/devices",
    "verification_uri_complete": "http://console/devices?code=BCDF-GHJK",
    "expires_in": 900,
    "interval": 1,
}


@pytest.fixture
def console():
    """A console that admits everybody and remembers who asked."""
    asked = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            if self.path == "/agent/v1/device":
                self.say(200, CODE)
            elif server.pending:
                server.pending -= 1
                self.say(400, {"error": "authorization_pending"})
            else:
                self.admit()

        def admit(self):
            answer = {
                "node_id": f"n{len(asked)}",
                "key_id": "k",
                "console_key": KEY,
                "console_key_id": "c",
                "origin": "http://console",
                "name": "rig",
                "organisation": "Acme",
                "visibility": "org",
                "mode": "idle",
            }
            self.say(200, answer)

        def say(self, status, answer):
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        server.asked = asked
        server.pending = 0
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
    assert "Enrolled with http://console as n1 (rig)." in out
    assert "only you can read" in err
    assert console.asked[0]["join_token"] == "byoi-join-x"
    host = console.asked[0]["host"]
    assert set(host) == {"name", "os", "architecture", "gpus", "agent_version"}
    assert (tmp_path / "data" / "identity.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("service", "said"), [(None, "Next: byoi run\n"), (PLACES, "the service starts by itself")]
)
def test_who_has_a_service_need_not_start_the_node(enroll, monkeypatch, service, said):
    monkeypatch.setenv("BYOI_JOIN_TOKEN", "byoi-join-x")
    installed = Installation(kind="deb", service=service)
    monkeypatch.setattr("byoi_agent.cli.enroll.read_installation", lambda: installed)
    assert said in enroll()[1]


def test_the_token_comes_from_a_file_or_standard_input(enroll, console, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("byoi-join-file\n")
    assert enroll("--join-token-file", tmp_path / "token", "--json")[0] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("byoi-join-stdin\n"))
    code, out, _ = enroll("--join-token-file", "-", "--replace", "--json")
    assert code == 0
    assert json.loads(out)["node_id"] == "n2"
    assert [asked["join_token"] for asked in console.asked] == ["byoi-join-file", "byoi-join-stdin"]


def test_either_way_the_console_hears_the_sign_of_the_machine(enroll, console, monkeypatch):
    monkeypatch.setattr("byoi_agent.cli.enroll.sign_of", lambda _: "ab" * 32)
    assert enroll()[0] == 0
    monkeypatch.setenv("BYOI_JOIN_TOKEN", "byoi-join-x")
    assert enroll("--replace")[0] == 0
    shown, _, joined = console.asked
    assert shown["machine"] == joined["machine"] == "ab" * 32


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


def test_without_a_token_a_person_approves_the_code(enroll, console, monkeypatch):
    console.pending = 1
    code, out, err = enroll()
    assert code == 0
    assert "http://console/devices?code=BCDF-GHJK" in out
    assert "BCDF-GHJK\n" in out
    raw = base64.b64decode(console.asked[0]["public_key"])
    assert f"this key      {spoken(fingerprint(raw))}" in out
    assert "15 minutes at most" in out
    assert "\x1b" not in out  # no picture and no countdown where no terminal shows them
    assert "Enrolled with http://console as n3 (rig)." in out
    assert "organisation       Acme" in out
    assert "seen by            your organisation" in out
    assert "serves             while nobody uses this machine (byoi mode changes it)" in out
    assert "only you can read" in err


def test_a_program_gets_the_code_and_then_the_node(enroll, console):
    code, out, _ = enroll("--json")
    assert code == 0
    first, last = (json.loads(line) for line in out.splitlines())
    assert first["event"] == "code"
    assert first["user_code"] == "BCDF-GHJK"
    assert "device_code" not in first
    assert last["event"] == "enrolled"
    assert last["node_id"] == "n2"
    assert first["fingerprint"] == last["fingerprint"]


def test_ctrl_c_while_waiting_leaves_no_key_behind(tmp_path, console):
    console.pending = 1000
    argv = [Path(sys.executable).with_name("byoi"), "enroll", "--console", console.url]
    argv += ["--data-dir", tmp_path / "data", "--key-store", "file"]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "Waiting" not in process.stdout.readline():
            pass
        assert list((tmp_path / "data" / "keys").iterdir())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not list((tmp_path / "data" / "keys").iterdir())
    assert not (tmp_path / "data" / "identity.json").exists()


def test_an_empty_token_file_is_told(enroll, tmp_path):
    (tmp_path / "token").write_text("\n")
    code, _, err = enroll("--join-token-file", tmp_path / "token")
    assert code == 64
    assert "no join token" in err


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
        assert (code, "already running" in err) == (69, True)
        code, _, err = enroll()
        assert (code, "add --replace" in err) == (78, True), "that it is a node is the news"


def test_a_node_that_was_revoked_is_enrolled_again_with_its_console(
    byoi, enroll, monkeypatch, tmp_path
):
    monkeypatch.setenv("BYOI_JOIN_TOKEN", "byoi-join-x")
    where = ("--data-dir", tmp_path / "data", "--key-store", "file")
    assert byoi("enroll", "--replace", *where)[0] == 64, "there is no console yet"
    enroll()
    code, out, _ = byoi("enroll", "--replace", *where)
    assert (code, "as n2" in out) == (0, True)
