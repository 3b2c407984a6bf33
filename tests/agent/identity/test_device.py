from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from byoi_agent.errors import AgentError, IdentityError, LinkError
from byoi_agent.identity.console_http import ConsoleHttp
from byoi_agent.identity.device import DeviceFlow
from byoi_agent.identity.file_store import FileStore
from byoi_agent.identity.keys import fingerprint_of, public_key_text
from byoi_agent.identity.membership import admit
from byoi_agent.identity.record import read_record

DEVICE, TOKEN = "/agent/v1/device", "/agent/v1/token"
CODE = {
    "device_code": "dev-secret",
    "user_code": "BCDF-GHJK",
    "verification_uri": "http://console/devices",
    "verification_uri_complete": "http://console/devices?code=BCDF-GHJK",
    "expires_in": 900,
    "interval": 5,
}
ADMITTED = {
    "node_id": "n1",
    "key_id": "k1",
    "console_key": public_key_text(Ed25519PrivateKey.generate()),
    "console_key_id": "c1",
    "origin": "http://console",
    "name": "rig\x1b[2J",
    "organisation": "Acme",
    "visibility": "org",
    "mode": "dedicated",
}


def problem(error, status=400):
    return status, {"error": error, "error_description": "because"}


class Audience:
    def __init__(self):
        self.codes = []
        self.troubles = []

    def code_given(self, code, fingerprint):
        self.codes.append((code, fingerprint))

    def trouble(self, reason):
        self.troubles.append(reason)


@pytest.fixture
def audience():
    return Audience()


@pytest.fixture
def enrol(console, clock, audience, tmp_path):
    async def run(sign="5107"):
        flow = DeviceFlow(
            ConsoleHttp(console.url), {"name": "rig"}, sign, clock=clock, audience=audience
        )
        return await admit(
            console.url,
            flow,
            stores=[FileStore(tmp_path / "keys")],
            record_file=tmp_path / "identity.json",
            attempt_file=tmp_path / "enrolling.json",
            now_ms=1,
        )

    return run


def keys(tmp_path):
    return list((tmp_path / "keys").iterdir())


async def test_an_approved_machine_is_a_node_with_what_the_person_chose(
    enrol, console, audience, clock, tmp_path
):
    console.will(DEVICE, (200, CODE))
    console.will(TOKEN, problem("authorization_pending"), (200, ADMITTED))
    enrolled = await enrol()
    assert enrolled.identity.node_id == "n1"
    record = read_record(tmp_path / "identity.json")
    assert record == enrolled.record
    assert (record.organisation, record.visibility, record.mode) == ("Acme", "org", "dedicated")
    assert record.name == "rig[2J"  # no terminal obeys a console
    [(code, fingerprint)] = audience.codes
    assert code.user_code == "BCDF-GHJK"
    assert fingerprint == fingerprint_of(enrolled.identity.key)
    assert clock.now == 1010.0  # two questions, five seconds before each


@pytest.mark.parametrize("field", ["node_id", "key_id", "console_key_id"])
async def test_a_name_that_would_steer_a_terminal_is_no_answer(enrol, console, tmp_path, field):
    console.will(DEVICE, (200, CODE))
    console.will(TOKEN, (200, {**ADMITTED, field: "n1\x1b]0;evil\x07"}))
    with pytest.raises(IdentityError, match="not like a byoi console"):
        await enrol()
    assert keys(tmp_path) == []


async def test_what_is_sent_proves_the_key_and_carries_the_sign_of_the_machine(enrol, console):
    console.will(DEVICE, (200, CODE))
    console.will(TOKEN, (200, ADMITTED))
    await enrol()
    [first], [second] = console.bodies(DEVICE), console.bodies(TOKEN)
    raw = base64.b64decode(first["public_key"])
    public = Ed25519PublicKey.from_public_bytes(raw)
    public.verify(base64.b64decode(first["proof"]), b"byoi-device-v1\0" + raw)
    proven = b"byoi-enrol-v1\0dev-secret\0" + raw
    public.verify(base64.b64decode(second["proof"]), proven)
    assert first["machine"] == "5107"
    assert first["host"] == {"name": "rig"}
    assert second["device_code"] == "dev-secret"


async def test_a_machine_without_an_id_says_none(enrol, console):
    console.will(DEVICE, (200, CODE))
    console.will(TOKEN, (200, ADMITTED))
    await enrol(sign=None)
    assert "machine" not in console.bodies(DEVICE)[0]


async def test_told_to_slow_down_it_does_so_for_good(enrol, console, clock):
    console.will(DEVICE, (200, CODE))
    pending = problem("authorization_pending")
    console.will(TOKEN, problem("slow_down"), pending, (200, ADMITTED))
    await enrol()
    assert clock.now == 1000 + 5 + 10 + 10


async def test_a_console_that_stumbles_is_asked_again_and_the_person_told(
    enrol, console, audience, clock
):
    console.will(DEVICE, (200, CODE))
    console.will(TOKEN, (503, {}), (429, {}), problem("authorization_pending"), (200, ADMITTED))
    await enrol()
    assert [bool(reason) for reason in audience.troubles] == [True, True, False, False]
    assert clock.now >= 1000 + 5 + 10 + 20 + 5


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("access_denied", AgentError, r"denied in the console \(because\)"),
        ("expired_token", AgentError, "nobody approved the code BCDF-GHJK"),
        ("invalid_grant", IdentityError, "because"),
    ],
)
async def test_a_no_is_told_with_the_mend_and_leaves_no_key_behind(
    enrol, console, tmp_path, error, kind, words
):
    console.will(DEVICE, (200, CODE))
    console.will(TOKEN, problem(error))
    with pytest.raises(kind, match=words) as caught:
        await enrol()
    assert "byoi enroll" in str(caught.value)
    assert keys(tmp_path) == []
    assert read_record(tmp_path / "identity.json") is None


async def test_a_no_without_a_reason_is_told_once(enrol, console):
    console.will(DEVICE, (200, CODE))
    told = {"error": "access_denied", "error_description": "The request was denied."}
    console.will(TOKEN, (400, told))
    with pytest.raises(AgentError, match="denied in the console; to ask again"):
        await enrol()


async def test_a_code_that_nobody_approves_ends_at_its_time(enrol, console, clock):
    console.will(DEVICE, (200, CODE))
    console.will(TOKEN, problem("authorization_pending"))
    with pytest.raises(AgentError, match="nobody approved"):
        await enrol()
    assert clock.now == 1900.0
    assert len(console.bodies(TOKEN)) == 179


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((404, {}), IdentityError, "join token"),
        ((400, {"error": {"message": "the proof is wrong"}}), IdentityError, "the proof is wrong"),
        ((429, {"error": {"message": "too many"}}), LinkError, "wait a minute"),
        ((200, {**CODE, "user_code": "a\x1b[2J"}), IdentityError, "not like a byoi console"),
        ((200, {**CODE, "verification_uri": "file:///etc"}), IdentityError, "not like a byoi"),
        ((200, {**CODE, "verification_uri": "http://a b"}), IdentityError, "not like a byoi"),
    ],
)
async def test_without_a_code_nothing_begins(enrol, console, tmp_path, answer, kind, words):
    console.will(DEVICE, answer)
    with pytest.raises(kind, match=words):
        await enrol()
    assert keys(tmp_path) == []


async def test_an_answer_that_is_neither_yes_nor_no_ends_it(enrol, console, tmp_path):
    console.will(DEVICE, (200, CODE))
    console.will(TOKEN, (400, {"error": "interesting"}))
    with pytest.raises(IdentityError, match="answered 400"):
        await enrol()
    assert keys(tmp_path) == []
