"""A console that speaks TLS itself: clients over https, nodes over wss, and what both refuse."""

from __future__ import annotations

import asyncio
import signal
import ssl

import aiohttp
import pytest


@pytest.fixture(scope="module")
def authority(helper, tmp_path_factory):
    return helper("authority").Authority(tmp_path_factory.mktemp("authority"))


async def serve(deployment, authority, *hosts, **flags):
    chain, key = authority.certificate("console", *hosts, **flags)
    await deployment.start_console(**{"tls-cert": str(chain), "tls-key": str(key)})


def trusting(authority):
    return ssl.create_default_context(cafile=authority.file)


async def test_a_node_and_a_client_that_trust_the_authority(deployment, authority):
    deployment.tls = trusting(authority)
    await serve(deployment, authority, "IP:127.0.0.1", "DNS:localhost")
    engine = await deployment.start_fake_engine()
    await deployment.enrol("node", None, "--ca-file", authority.file)
    await deployment.run_node(
        "node", "--engine", engine.ready["url"], "--ca-file", str(authority.file)
    )
    answer = await deployment.chat("over TLS")
    assert answer.is_complete
    assert deployment.url.startswith("https://")
    # A renewed certificate is taken into use without a link or an answer lost.
    authority.certificate("console", "IP:127.0.0.1", "DNS:renewed.example")
    deployment.console.process.send_signal(signal.SIGHUP)

    async def is_renewed():
        return "renewed.example" in await names_shown(deployment.console_port, authority)

    await deployment.until(is_renewed)
    assert (await deployment.chat("after the renewal")).is_complete
    assert "node link ended" not in deployment.console.log.read_text()


async def names_shown(port, authority):
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(authority))
    told = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    return [value for kind, value in told["subjectAltName"] if kind == "DNS"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hosts", "flags", "trusts", "words"),
    [
        (("DNS:elsewhere.example",), {}, True, "not valid for"),
        (("IP:127.0.0.1",), {"is_expired": True}, True, "expired"),
        (("IP:127.0.0.1",), {}, False, "unable to get local issuer"),
    ],
    ids=["wrong host", "expired", "unknown authority"],
)
async def test_a_node_refuses_with_the_cause(deployment, authority, hosts, flags, trusts, words):
    deployment.tls = trusting(authority)
    deployment.tls.check_hostname = False
    deployment.tls.verify_mode = ssl.CERT_NONE
    await serve(deployment, authority, *hosts, **flags)
    trust = ("--ca-file", authority.file) if trusts else ()
    with pytest.raises(AssertionError) as refused:
        await deployment.enrol("node", None, *trust)
    assert words in str(refused.value)
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await deployment.http.get(deployment.url, ssl=trusting(authority) if trusts else True)
