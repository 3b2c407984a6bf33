from __future__ import annotations

import base64
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from byoi_agent.errors import IdentityError, LinkError
from byoi_agent.identity.console_http import AnswerLost, ConsoleHttp, Reply
from byoi_agent.identity.credential_store import CredentialStore
from byoi_agent.identity.enrolment import JoinToken, load_identity
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of, raw_public_key, to_pem
from byoi_agent.identity.membership import admit

CONSOLE_KEY = Ed25519PrivateKey.generate()
TOKEN = "byoi-join-abc"


class Console:
    """A console's door for enrolment: checks the proof, answers as it is told to."""

    def __init__(self):
        self.asked = []
        self.answer = None
        self.lost = 0
        self.url = ""

    async def token(self, request):
        body = await request.json()
        self.asked.append(body)
        if len(self.asked) <= self.lost:
            request.transport.abort()
            return web.Response()
        public = base64.b64decode(body["public_key"])
        signed = b"byoi-enrol-v1\0" + body["join_token"].encode() + b"\0" + public
        Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(body["proof"]), signed)
        if self.answer is not None:
            status, content = self.answer
            return web.Response(status=status, body=content, headers=self.headers)
        return web.json_response(
            {
                "node_id": f"n{len(self.asked)}",
                "key_id": "k1",
                "console_key": base64.b64encode(raw_public_key(CONSOLE_KEY)).decode(),
                "console_key_id": "c1",
                "origin": "http://console",
            }
        )

    headers = None


class Telling(ConsoleHttp):
    """A console that answers, or does not, in this order."""

    def __init__(self, answers):
        super().__init__("http://127.0.0.1:1")
        object.__setattr__(self, "left", answers)

    async def post(self, path, body):
        answer = self.left.pop(0)
        if isinstance(answer, Reply):
            return answer
        raise answer


@pytest.fixture
async def console():
    door = Console()
    app = web.Application()
    app.router.add_post("/agent/v1/token", door.token)
    server = TestServer(app)
    await server.start_server()
    door.url = str(server.make_url("/")).rstrip("/")
    yield door
    await server.close()


@pytest.fixture
def enrol(console, clock, tmp_path):
    async def run(sign=None, **changes):
        arguments = {
            "stores": [FileStore(tmp_path / "keys")],
            "record_file": tmp_path / "identity.json",
            "attempt_file": tmp_path / "enrolling.json",
            "now_ms": 1_700_000_000_000,
            **changes,
        }
        ask = JoinToken(ConsoleHttp(console.url), TOKEN, {"os": "Debian"}, sign, clock=clock)
        return (await admit(console.url, ask, **arguments)).identity

    return run


def keys(tmp_path):
    folder = tmp_path / "keys"
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


async def test_a_join_token_makes_a_node_that_is_found_again(enrol, console, tmp_path):
    identity = await enrol()
    assert identity.node_id == "n1"
    assert raw_public_key(identity.console_key) == raw_public_key(CONSOLE_KEY)
    assert console.asked[0]["host"] == {"os": "Debian"}
    again = load_identity(tmp_path / "identity.json", [FileStore(tmp_path / "keys")])
    assert raw_public_key(again.key.public_key()) == raw_public_key(identity.key)
    assert (again.node_id, again.origin, again.console_url) == ("n1", "http://console", console.url)


async def test_the_sign_of_the_machine_comes_along_where_it_has_one(enrol, console):
    await enrol(sign="5107")
    await enrol()
    assert [body.get("machine", "none") for body in console.asked] == ["5107", "none"]


async def test_the_private_key_is_neither_sent_nor_in_the_record(enrol, console, tmp_path):
    identity = await enrol()
    secret = identity.key.private_bytes_raw()
    for text in (json.dumps(console.asked), (tmp_path / "identity.json").read_text()):
        assert base64.b64encode(secret).decode() not in text
        assert secret.hex() not in text
    assert TOKEN not in (tmp_path / "identity.json").read_text()


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (
            401,
            b'{"error": {"message": "the join token has expired"}}',
            "the join token has expired",
        ),
        (403, b'{"error": {"message": "a\\u001b[2Jb"}}', r"a\[2Jb"),
        (404, b"<html>", "is it a byoi console"),
        (429, b"", "wait a minute"),
        (500, b"", "answered 500"),
        (503, b"", "not ready"),
        (302, b"", "answered 302"),
        (200, b'{"node_id": "n"}', "not like a byoi console"),
        (200, b"x" * 100_000, "not like a byoi console"),
    ],
)
async def test_a_refusal_is_told_and_leaves_nothing_behind(
    enrol, console, tmp_path, status, content, words
):
    console.answer = (status, content)
    console.headers = {"location": "http://127.0.0.1:1/"} if status == 302 else None
    with pytest.raises((IdentityError, LinkError), match=words):
        await enrol()
    assert keys(tmp_path) == []
    assert not (tmp_path / "identity.json").exists()


async def test_a_bad_console_key_is_refused_before_anything_is_written(enrol, console, tmp_path):
    console.answer = (
        200,
        json.dumps(
            {
                "node_id": "n",
                "key_id": "k",
                "console_key": "AAAA",
                "console_key_id": "c",
                "origin": "o",
            }
        ).encode(),
    )
    with pytest.raises(IdentityError, match="public key"):
        await enrol()
    assert not (tmp_path / "identity.json").exists()


async def test_a_failed_replacement_leaves_the_old_enrolment_whole(enrol, console, tmp_path):
    first = await enrol()
    console.answer = (401, b"")
    with pytest.raises(IdentityError):
        await enrol()
    again = load_identity(tmp_path / "identity.json", [FileStore(tmp_path / "keys")])
    assert again.node_id == first.node_id


async def test_a_replacement_forgets_the_old_key(enrol, tmp_path):
    await enrol()
    second = await enrol()
    assert second.node_id == "n2"
    assert keys(tmp_path) == [f"{fingerprint_of(second.key)}.key"]


async def test_a_key_from_systemd_is_the_nodes_key(enrol, tmp_path, key):
    (tmp_path / "device-key").write_bytes(to_pem(key))
    stores = [
        CredentialStore({"CREDENTIALS_DIRECTORY": str(tmp_path)}),
        FileStore(tmp_path / "keys"),
    ]
    identity = await enrol(stores=stores)
    assert identity.key_store == "credential"
    assert raw_public_key(identity.key) == raw_public_key(key)
    assert keys(tmp_path) == []


async def test_a_key_whose_credential_is_gone_is_the_nodes_where_its_file_is_left(
    enrol, tmp_path, key
):
    sealed, file = tmp_path / "device-key", FileStore(tmp_path / "keys")
    sealed.write_bytes(to_pem(key))
    stores = [CredentialStore({"CREDENTIALS_DIRECTORY": str(tmp_path)}), file]
    await enrol(stores=stores)
    file.save(key)
    sealed.unlink()
    stores = [CredentialStore({}), file]
    assert load_identity(tmp_path / "identity.json", stores).key_store == "file"
    file.delete(fingerprint_of(key))
    with pytest.raises(IdentityError, match="is gone"):
        load_identity(tmp_path / "identity.json", stores)


async def test_a_console_that_is_not_there_is_told_at_once(clock, tmp_path):
    began = clock.now
    with pytest.raises(LinkError, match="cannot be reached"):
        await admit(
            "http://127.0.0.1:1",
            JoinToken(ConsoleHttp("http://127.0.0.1:1"), TOKEN, {}, clock=clock),
            stores=[FileStore(tmp_path / "keys")],
            record_file=tmp_path / "identity.json",
            attempt_file=tmp_path / "enrolling.json",
            now_ms=0,
        )
    assert keys(tmp_path) == []
    assert clock.now == began


async def test_a_lost_answer_is_asked_for_again_with_the_same_key(enrol, console):
    console.lost = 3
    identity = await enrol()
    assert identity.node_id == "n4"
    assert len({json.dumps(body) for body in console.asked}) == 1
    assert raw_public_key(identity.key.public_key()) == base64.b64decode(
        console.asked[0]["public_key"]
    )


@pytest.mark.parametrize("status", [502, 504])
async def test_a_proxy_s_word_may_be_a_lost_answer_too(enrol, console, clock, tmp_path, status):
    began = clock.now
    console.answer = (status, b"")
    with pytest.raises(LinkError, match="may have admitted this machine"):
        await enrol()
    assert len(console.asked) == 5
    assert clock.now - began == 15
    console.answer = None
    identity = await enrol()
    assert len({body["public_key"] for body in console.asked}) == 1
    assert keys(tmp_path) == [f"{fingerprint_of(identity.key)}.key"]


async def test_a_console_that_is_gone_after_a_lost_answer_is_asked_until_it_is_back(clock, key):
    lost, away = AnswerLost("cut", retry=True), LinkError("refused", retry=True)
    console = Telling([lost, away, Reply(503, b""), Reply(401, b'{"error": {"message": "no"}}')])
    with pytest.raises(IdentityError, match="no"):
        await JoinToken(console, TOKEN, {}, clock=clock)(key)
    assert console.left == []


def test_without_enrolment_the_owner_is_told_what_to_type(tmp_path):
    with pytest.raises(IdentityError, match="byoi enroll"):
        load_identity(tmp_path / "identity.json", [FileStore(tmp_path / "keys")])


async def test_a_lost_key_is_told(enrol, tmp_path):
    await enrol()
    for file in (tmp_path / "keys").iterdir():
        file.unlink()
    with pytest.raises(IdentityError, match="is gone"):
        load_identity(tmp_path / "identity.json", [FileStore(tmp_path / "keys")])
