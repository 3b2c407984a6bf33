from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from byoi_agent.engine.address import EngineAddress
from byoi_agent.engine.client import EngineClient
from byoi_agent.errors import ConfigError, EngineAbsent, EngineError


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "prefix", "host_header"),
    [
        ("http://box", "box", 80, False, "", "box:80"),
        ("http://box:8000/v1", "box", 8000, False, "", "box:8000"),
        ("http://box:8000/v1/", "box", 8000, False, "", "box:8000"),
        ("https://box/openai", "box", 443, True, "/openai", "box:443"),
        ("https://box/openai/v1", "box", 443, True, "/openai", "box:443"),
        ("http://[::1]:9/v1", "::1", 9, False, "", "[::1]:9"),
    ],
)
def test_a_base_url_is_taken_apart(url, host, port, tls, prefix, host_header):
    address = EngineAddress.parse(url)
    assert (address.host, address.port, address.tls) == (host, port, tls)
    assert address.prefix == prefix
    assert address.headers == {"host": host_header}


def test_a_socket_has_a_path_and_no_host():
    address = EngineAddress.parse("unix:///run/e.sock")
    assert address.socket_path == "/run/e.sock"
    assert address.headers == {"host": "engine"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "box:8000",
        "ftp://box/",
        "http://",
        "unix://box/path",
        "unix:",
        "http://box:99999/",
        "http://user:pass@box/",
        "http://box/?a=b",
        "http://box/#a",
    ],
)
def test_what_is_no_base_url_is_refused(url):
    with pytest.raises(ConfigError):
        EngineAddress.parse(url)


def test_a_key_is_not_shown():
    assert "secret" not in repr(EngineAddress.parse("http://box", "secret"))


@pytest.fixture
def certificate(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "both.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_https_is_spoken_with_those_whom_the_machine_trusts(
    serve, answer, certificate, monkeypatch, is_trusted
):
    async def script(request, writer):
        writer.write(answer(b"safe"))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await serve(script, tcp=True, ssl=context)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    client = EngineClient(EngineAddress.parse(server.url))
    if is_trusted:
        fetched = await client.fetch("GET", "/", timeout_seconds=60)
        assert fetched.body == b"safe"
    else:
        with pytest.raises(EngineError, match="certificate"):
            await client.fetch("GET", "/", timeout_seconds=60)
    await client.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("unix:///run/e.sock", True),
        ("http://127.0.0.1:11434", True),
        ("http://[::1]:1234/v1", True),
        ("http://localhost:8080/v1", True),
        ("http://192.168.1.9:8000", False),
        ("http://gpu-box.lan:8000", False),
    ],
)
def test_an_address_tells_whether_it_is_on_this_very_machine(url, is_local):
    assert EngineAddress.parse(url).is_local is is_local


async def test_where_nobody_listens_is_told_apart_from_where_there_is_no_way(tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        for url in (
            f"http://127.0.0.1:{port}",
            f"http://localhost:{port}",
            f"unix://{tmp_path}/none.sock",
        ):
            with pytest.raises(EngineAbsent, match="cannot connect"):
                await EngineAddress.parse(url).connect(asyncio.Protocol)

    async def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", forbidden)
    with pytest.raises(EngineError, match="Permission denied") as told:
        await EngineAddress.parse("unix:///run/e.sock").connect(asyncio.Protocol)
    assert not isinstance(told.value, EngineAbsent)
