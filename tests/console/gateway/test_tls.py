from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl

import pytest

from byoi_console.errors import ConfigError
from byoi_console.gateway.tls import Certificate


@pytest.fixture(scope="module")
def authority(helper, tmp_path_factory):
    return helper("authority").Authority(tmp_path_factory.mktemp("authority"))


@contextlib.asynccontextmanager
async def listening(certificate):
    async def answer(_reader, writer):
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=certificate.context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def shown(port, authority, **changes):
    """The certificate that a client is shown."""
    context = ssl.create_default_context(cafile=authority.file)
    for name, value in changes.items():
        setattr(context, name, value)
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    told = writer.get_extra_info("ssl_object")
    found = (told.getpeercert()["subject"][0][0][1], told.version())
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return found


async def test_a_renewed_certificate_is_shown_to_the_next_connection(authority, tmp_path):
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for name in ("first", "second"):
        for made, used in zip(
            authority.certificate(name, "DNS:localhost"), (chain, key), strict=True
        ):
            used.write_bytes(made.read_bytes())
        if name == "first":
            certificate = Certificate(chain, key)
            async with listening(certificate) as port:
                assert (await shown(port, authority))[0] == "first"
    certificate.reload()
    async with listening(certificate) as port:
        assert (await shown(port, authority))[0] == "second"


async def test_half_a_renewal_leaves_the_old_one_in_use(authority, tmp_path, caplog):
    old, key = authority.certificate("old", "DNS:localhost")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(old.read_bytes())
    certificate = Certificate(chain, key)
    chain.write_bytes(authority.certificate("new", "DNS:localhost")[0].read_bytes())
    certificate.reload()
    assert "the key is not this certificate's" in caplog.records[-1].why
    async with listening(certificate) as port:
        assert (await shown(port, authority))[0] == "old"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_nothing_older_than_tls_1_2_is_spoken(authority):
    certificate = Certificate(*authority.certificate("versions", "DNS:localhost"))
    async with listening(certificate) as port:
        assert (await shown(port, authority, maximum_version=ssl.TLSVersion.TLSv1_2))[
            1
        ] == "TLSv1.2"
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_an_expired_certificate_is_told_at_the_start(authority, caplog):
    caplog.set_level(logging.INFO)
    Certificate(*authority.certificate("late", "DNS:localhost", is_expired=True))
    assert "has expired" in caplog.text


def test_what_cannot_be_used_is_told_with_its_setting(authority, tmp_path):
    chain, key = authority.certificate("good", "DNS:localhost")
    other = authority.certificate("other", "DNS:localhost")[1]
    none = tmp_path / "none.pem"
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    for pair, words in (
        ((none, key), f"tls_cert: cannot read {none}: No such file"),
        ((chain, none), f"tls_key: cannot read {none}: No such file"),
        ((chain, other), "the key is not this certificate's"),
        ((text, key), "no PEM files of a certificate and its key"),
        ((chain, authority.encrypted(key)), "the key is encrypted; give one without a passphrase"),
    ):
        with pytest.raises(ConfigError, match=words):
            Certificate(*pair)
