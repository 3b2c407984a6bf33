from __future__ import annotations

import base64

import pytest

from byoi_agent.errors import IdentityError, LinkError
from byoi_agent.identity.console_http import ConsoleHttp
from byoi_agent.identity.keys import Identity
from byoi_agent.identity.unenrolment import give_back

PATH = "/agent/v1/unenroll"


@pytest.fixture
def identity(key):
    return Identity(
        node_id="n1",
        key_id="k1",
        key=key,
        console_key=key.public_key(),
        console_key_id="c1",
        origin="https://console.example",
        console_url="https://console.example",
    )


async def test_the_place_is_given_back_with_the_node_s_signature(console, identity, key):
    console.will(PATH, (200, {"unenrolled": True}))
    await give_back(ConsoleHttp(console.url), identity, now_ms=1_700_000_000_123)
    [body] = console.bodies(PATH)
    assert (body["node_id"], body["key_id"], body["at_ms"]) == ("n1", "k1", 1_700_000_000_123)
    signed = b"byoi-unenrol-v1\0https://console.example\0n1\x001700000000123"
    key.public_key().verify(base64.b64decode(body["signature"]), signed)


async def test_a_console_that_does_not_know_the_node_leads_to_force(console, identity):
    console.will(PATH, (404, {"error": {"message": "no such node"}}))
    with pytest.raises(IdentityError, match=r"no such node.*byoi unenroll --force"):
        await give_back(ConsoleHttp(console.url), identity, now_ms=1)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [((200, {"unenrolled": False}), IdentityError), ((503, {}), LinkError), ((404, {}), Exception)],
)
async def test_only_a_yes_counts(console, identity, answer, kind):
    console.will(PATH, answer)
    with pytest.raises(kind):
        await give_back(ConsoleHttp(console.url), identity, now_ms=1)
