"""Real sockets on the loopback, on asyncio's own loop and on uvloop."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import os
import socket
import ssl
import struct

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from byoi_wire.aio.channel import FULL_BYTES
from byoi_wire.aio.websocket import DialRefused, WebSocketChannel, accept, dial
from byoi_wire.version import MESSAGE_LIMIT_BYTES, WRITE_BUFFER_BYTES

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "WS_PROXY", "WSS_PROXY")


@pytest.fixture(params=["asyncio", "uvloop"])
def play(request, monkeypatch):
    """Runs a story on either loop, with no proxy but the one that the test names."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(story):
        async def bounded():
            async with asyncio.timeout(60):
                return await story

        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(bounded())

    return run


class Listener:
    """Hears a channel, and lets a test await what it hears."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue = asyncio.Queue()
        self.closed: asyncio.Future = asyncio.get_running_loop().create_future()

    def message_received(self, message) -> None:
        self.queue.put_nowait(message)

    def channel_writable(self) -> None:
        self.queue.put_nowait("writable")

    def channel_closed(self, code, reason) -> None:
        self.closed.set_result((code, reason))


class Head(asyncio.Protocol):
    """Reads a request's head as the gateway's front does, then gives the transport away."""

    def __init__(self, doors: asyncio.Queue, then) -> None:
        self._doors = doors
        self._then = then
        self._data = b""

    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, data) -> None:
        self._data += data
        if b"\r\n\r\n" in self._data:
            self._doors.put_nowait(self._then(self._transport, self._data))


class Server:
    """A door on the loopback; `doors` gives each channel that came in."""

    def __init__(self, then=accept, tls=None) -> None:
        self.doors: asyncio.Queue = asyncio.Queue()
        self._then = then
        self._tls = tls

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Head(self.doors, self._then), "127.0.0.1", 0, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        scheme = "ws" if self._tls is None else "wss"
        self.url = f"{scheme}://127.0.0.1:{self.port}/agent/v1/connect"
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        await self._server.wait_closed()


async def join(server: Server, tls=None, url=None):
    """Both ends of one websocket, each with its listener."""
    client = await dial(url or server.url, tls=tls, user_agent="byoi/test", timeout_seconds=60)
    door = await server.doors.get()
    at_client, at_door = Listener(), Listener()
    client.attach(at_client)
    door.attach(at_door)
    return client, door, at_client, at_door


async def part(*ends) -> None:
    """Close the first, and see both gone."""
    *channels, at_client, at_door = ends
    for channel in channels:
        channel.abort()
    await asyncio.gather(at_client.closed, at_door.closed)


def test_text_and_bytes_go_both_ways_in_order(play):
    async def story():
        async with Server() as server:
            client, door, at_client, at_door = ends = await join(server)
            for message in ("text", b"bytes", "é" * 1000, b"", bytes(MESSAGE_LIMIT_BYTES)):
                client.send(message)
                door.send(message)
                assert await at_door.queue.get() == message
                assert await at_client.queue.get() == message
            assert client.buffered_bytes == door.buffered_bytes == 0
            await part(*ends)

    play(story())


@pytest.mark.parametrize("closer", ["client", "door"])
def test_a_close_is_heard_at_the_other_end_with_its_code_and_reason(play, closer):
    async def story():
        async with Server() as server:
            client, door, at_client, at_door = await join(server)
            first, heard, own = (
                (client, at_door, at_client) if closer == "client" else (door, at_client, at_door)
            )
            first.send("last words")
            first.close(1008, "ünfit " + "x" * 200)
            first.close(1000)
            first.send("too late")
            code, reason = await heard.closed
            assert code == 1008
            assert reason.startswith("ünfit xxx")
            assert await heard.queue.get() == "last words"
            assert heard.queue.empty()
            await own.closed

    play(story())


@pytest.mark.parametrize("closer", ["client", "door"])
def test_an_abort_is_a_loss_without_a_word(play, closer):
    async def story():
        async with Server() as server:
            client, door, at_client, at_door = await join(server)
            (client if closer == "client" else door).abort()
            assert await at_client.closed == (1006, "")
            assert await at_door.closed == (1006, "")
            client.close()
            client.send("nobody there")
            client.abort()
            late = Listener()
            client.attach(late)
            assert await late.closed == (1006, "")

    play(story())


def test_a_peer_that_does_not_answer_the_close_is_dropped(play, monkeypatch):
    monkeypatch.setattr("byoi_wire.aio.websocket._CLOSE_SECONDS", 0.05)

    async def story():
        async with Server() as server:
            client, door, at_client, at_door = ends = await join(server)
            door.pause()
            client.close(1000, "bye")
            await at_client.closed
            await part(*ends[:2], at_client, at_door)

    play(story())


def test_what_comes_before_anyone_listens_is_kept_and_reading_stops(play):
    async def story():
        async with Server() as server:
            client = await dial(server.url, tls=None, user_agent="t", timeout_seconds=60)
            door = await server.doors.get()
            at_door = Listener()
            door.attach(at_door)
            sent = 0
            while door.buffered_bytes <= FULL_BYTES:
                door.send(str(sent))
                door.send(bytes(30_000))
                sent += 1
                await asyncio.sleep(0)
            assert len(client._early) < 2 * sent
            at_client = Listener()
            client.attach(at_client)
            for number in range(sent):
                assert await at_client.queue.get() == str(number)
                assert len(await at_client.queue.get()) == 30_000
            await part(client, door, at_client, at_door)

    play(story())


def test_a_paused_channel_is_not_read(play):
    async def story():
        async with Server() as server:
            client, door, at_client, at_door = ends = await join(server)
            client.pause()
            door.send("waits")
            door.send("too")
            client.send("answered at once")
            await at_door.queue.get()
            assert at_client.queue.empty()
            client.resume()
            assert await at_client.queue.get() == "waits"
            await part(*ends)

    play(story())


def test_a_full_channel_says_when_it_has_room_again(play):
    async def story():
        async with Server() as server:
            client, door, at_client, at_door = ends = await join(server)
            client.pause()
            sent = 0
            while door.buffered_bytes <= FULL_BYTES:
                door.send(bytes(50_000))
                sent += 1
                await asyncio.sleep(0)
            assert door.buffered_bytes <= WRITE_BUFFER_BYTES
            client.resume()
            assert await at_door.queue.get() == "writable"
            assert door.buffered_bytes <= FULL_BYTES
            for _ in range(sent):
                await at_client.queue.get()
            await part(*ends)

    play(story())


def test_a_peer_that_reads_nothing_is_given_up(play):
    async def story():
        async with Server() as server:
            client, door, at_client, at_door = ends = await join(server)
            client.pause()
            while not at_door.closed.done():
                door.send(bytes(60_000))
                await asyncio.sleep(0)
            assert at_door.closed.result() == (1006, "")
            await part(*ends[:2], at_client, at_door)

    play(story())


# A client of raw bytes, for what the library itself would never send


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(payload)
    head = struct.pack(">BB", (0x80 if fin else 0) | opcode, 0x80 | (126 if size > 125 else size))
    if size > 65535:
        head = head[:1] + struct.pack(">BQ", 0x80 | 127, size)
    elif size > 125:
        head += struct.pack(">H", size)
    return head + bytes(4) + payload


REQUEST = (
    "GET /agent/v1/connect HTTP/1.1\r\nHost: c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)
BYOI = REQUEST + "Sec-WebSocket-Protocol: other, byoi.v1\r\n\r\n"


async def raw(server: Server, then: bytes, request: str = BYOI):
    """Speak to the door by hand; what it answered comes back when it has closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request.encode() + then)
    door = await server.doors.get()
    listener = Listener()
    if door is not None:
        door.attach(listener)
    return reader, writer, listener


async def closed_with(reader, writer) -> int:
    """The code of the close frame that ends what the door says."""
    answer = await reader.read()
    writer.close()
    _, body = answer.split(b"\r\n\r\n", 1)
    position = body.index(b"\x88")
    (code,) = struct.unpack_from(">H", body, position + 2)
    return code


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(1, b"\xff\xfe"), 1007),
        (frame(1, b"\xff", fin=False) + frame(0, b"\xfe"), 1007),
        (frame(2, bytes(MESSAGE_LIMIT_BYTES + 1)), 1009),
        (frame(2, bytes(60_000), fin=False) + frame(0, bytes(6_000)), 1009),
        (frame(0, b"continues nothing"), 1002),
        (frame(3, b"no such opcode"), 1002),
        (frame(2, b"a", fin=False) + frame(2, b"b"), 1002),
        (b"\x82\x01x", 1002),  # not masked
    ],
)
def test_a_broken_websocket_is_closed_with_its_code(play, sent, code):
    async def story():
        async with Server() as server:
            reader, writer, listener = await raw(server, frame(2, b"before") + sent)
            assert await closed_with(reader, writer) == code
            await listener.closed
            assert await listener.queue.get() == b"before"
            assert listener.queue.empty()

    play(story())


def test_fragments_are_one_message_and_pings_between_them_are_answered(play):
    async def story():
        async with Server() as server:
            pieces = frame(1, "é".encode()[:1], fin=False) + frame(9, b"there?")
            pieces += frame(0, "é".encode()[1:], fin=False) + frame(0, b"!")
            empties = frame(2, b"", fin=False) + frame(0, b"", fin=False) * 1000 + frame(0, b"end")
            reader, writer, listener = await raw(server, pieces + empties)
            assert await listener.queue.get() == "é!"
            assert await listener.queue.get() == b"end"
            await reader.readuntil(b"\x8a\x06there?")
            writer.close()
            assert await listener.closed == (1006, "")

    play(story())


def test_a_byte_at_a_time_is_the_same(play):
    async def story():
        async with Server() as server:
            reader, writer, listener = await raw(server, b"")
            for byte in frame(1, b"slow") + frame(8, struct.pack(">H", 1000)):
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            assert await listener.queue.get() == "slow"
            assert await closed_with(reader, writer) == 1000
            assert await listener.closed == (1000, "")

    play(story())


@pytest.mark.parametrize(
    "request_text",
    [
        REQUEST + "\r\n",
        REQUEST + "Sec-WebSocket-Protocol: other\r\n\r\n",
        BYOI.replace("Upgrade: websocket", "Upgrade: h2c"),
        BYOI.replace("Version: 13", "Version: 12"),
        BYOI.replace("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", ""),
    ],
)
def test_an_upgrade_that_is_not_ours_is_answered_and_refused(play, request_text):
    async def story():
        async with Server() as server:
            reader, writer, _ = await raw(server, b"", request_text)
            answer = await reader.read()
            assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 426"))
            writer.close()

    play(story())


def answering(text: str):
    """A server that is no console."""

    def then(transport, _):
        transport.write(text.encode())
        transport.close()

    return then


PAGE = "<html>Please sign in to this hotel</html>"


@pytest.mark.parametrize(
    ("answer", "status", "retry_after"),
    [
        (f"HTTP/1.1 200 OK\r\nContent-Length: {len(PAGE)}\r\n\r\n{PAGE}", 200, None),
        (
            "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            302,
            None,
        ),
        ("HTTP/1.1 307 Moved\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", 307, None),
        ("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 503, "7"),
        ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 404, None),
        ("SSH-2.0-OpenSSH_9\r\n\r\n", None, None),
        ("", None, None),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: wrong\r\n\r\n",
            None,
            None,
        ),
    ],
)
def test_what_is_no_console_is_refused_with_its_status(play, answer, status, retry_after):
    async def story():
        async with Server(then=answering(answer)) as server:
            with pytest.raises(DialRefused) as refusal:
                await dial(server.url, tls=None, user_agent="t", timeout_seconds=60)
            assert (refusal.value.status, refusal.value.retry_after) == (status, retry_after)
            assert server.doors.qsize() == 1

    play(story())


def test_a_websocket_without_our_subprotocol_is_refused(play):
    def then(transport, head):
        from websockets.server import ServerProtocol

        protocol = ServerProtocol()
        protocol.receive_data(head)
        (request,) = protocol.events_received()
        protocol.send_response(protocol.accept(request))
        for data in protocol.data_to_send():
            transport.write(data)
        return transport

    async def story():
        async with Server(then=then) as server:
            with pytest.raises(DialRefused, match=r"not byoi\.v1"):
                await dial(server.url, tls=None, user_agent="t", timeout_seconds=60)
            (await server.doors.get()).close()

    play(story())


def test_nobody_there_is_an_os_error(play):
    async def story():
        async with Server() as server:
            port = server.port
        with pytest.raises(OSError, match=r"refused|111") as failure:
            await dial(f"ws://127.0.0.1:{port}/", tls=None, user_agent="t", timeout_seconds=60)
        assert not isinstance(failure.value, DialRefused)

    play(story())


def test_a_server_that_never_answers_is_a_timeout(play):
    async def story():
        transports = []
        async with Server(then=lambda transport, _: transports.append(transport)) as server:
            with pytest.raises(TimeoutError):
                await dial(server.url, tls=None, user_agent="t", timeout_seconds=0.05)
            for transport in transports:  # none, where the machine stood still as it dialled
                transport.abort()

    play(story())


def test_what_a_door_says_right_behind_its_answer_is_not_lost(play):
    """The challenge travels in the same packet as the end of the websocket's handshake."""

    def then(transport, head):
        door = accept(transport, head)
        assert isinstance(door, WebSocketChannel)
        door.send("challenge")
        door.close(1008, "and goodbye")
        return door

    async def story():
        async with Server(then=then) as server:
            client = await dial(server.url, tls=None, user_agent="t", timeout_seconds=60)
            listener = Listener()
            client.attach(listener)
            assert await listener.queue.get() == "challenge"
            assert await listener.closed == (1008, "and goodbye")
            door = await server.doors.get()
            at_door = Listener()
            door.attach(at_door)
            await at_door.closed

    play(story())


def test_a_client_s_first_words_in_the_packet_of_its_request_are_not_lost(play):
    async def story():
        async with Server() as server:
            _, writer, listener = await raw(server, frame(1, b"at once"))
            assert await listener.queue.get() == "at once"
            writer.close()
            await listener.closed

    play(story())


class Proxy:
    """An HTTP proxy that knows CONNECT and nothing else."""

    def __init__(self, status: str = "200 OK") -> None:
        self.asked = []
        self._status = status

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b" ", 2)
        self.asked.append((method.decode(), target.decode()))
        writer.write(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
        if self._status.startswith("200"):
            host, port = target.decode().split(":")
            onward = await asyncio.open_connection(host, int(port))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._copy(reader, onward[1]))
                tasks.create_task(self._copy(onward[0], writer))
        writer.close()

    async def _copy(self, reader, writer) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for localhost signed by itself: the server's context and the client's."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "byoi test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("console.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=folder / "cert.pem")


def test_the_link_runs_over_tls_and_closes_with_a_word(play, authority):
    server_tls, client_tls = authority

    async def story():
        async with Server(tls=server_tls) as server:
            client, door, at_client, at_door = await join(server, client_tls)
            client.send("text")
            door.send(bytes(60_000))
            assert await at_door.queue.get() == "text"
            assert len(await at_client.queue.get()) == 60_000
            door.close(1012, "restart")
            assert await at_client.closed == (1012, "restart")
            await at_door.closed

    play(story())


@pytest.mark.parametrize("case", ["unknown authority", "another name"])
def test_a_certificate_that_proves_nothing_is_refused(play, authority, case):
    server_tls, client_tls = authority

    async def story():
        async with Server(tls=server_tls) as server:
            url, tls = server.url, client_tls
            if case == "another name":
                url = url.replace("127.0.0.1", "localhost")
            else:
                tls = ssl.create_default_context()
            with pytest.raises(ssl.SSLCertVerificationError):
                await dial(url, tls=tls, user_agent="t", timeout_seconds=60)

    play(story())


def test_a_context_for_tls_is_not_in_the_way_of_a_plain_address(play, authority):
    async def story():
        async with Server() as server:
            await part(*await join(server, authority[1]))

    play(story())


@pytest.mark.parametrize("is_secure", [False, True])
def test_the_environment_s_proxy_is_used(play, monkeypatch, authority, is_secure):
    server_tls, client_tls = authority if is_secure else (None, None)

    async def story():
        async with Server(tls=server_tls) as server, Proxy() as proxy:
            monkeypatch.setenv("https_proxy" if is_secure else "http_proxy", proxy.url)
            client, _, _, at_door = ends = await join(server, client_tls)
            client.send("through the proxy")
            assert await at_door.queue.get() == "through the proxy"
            assert proxy.asked == [("CONNECT", f"127.0.0.1:{server.port}")]
            await part(*ends)

    play(story())


def test_no_proxy_is_used_where_the_environment_excepts_the_host(play, monkeypatch):
    async def story():
        async with Server() as server, Proxy() as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            await part(*await join(server))
            assert proxy.asked == []

    play(story())


@pytest.mark.parametrize("address", ["407", "socks5://127.0.0.1:1", "nonsense"])
def test_a_proxy_that_cannot_be_used_is_a_refusal(play, monkeypatch, address):
    async def story():
        async with Server() as server, Proxy("407 Proxy Authentication Required") as proxy:
            monkeypatch.setenv("http_proxy", proxy.url if address == "407" else address)
            with pytest.raises(DialRefused):
                await dial(server.url, tls=None, user_agent="t", timeout_seconds=60)

    play(story())


def test_a_reset_by_the_network_is_a_loss(play):
    async def story():
        async with Server() as server:
            _, writer, listener = await raw(server, frame(1, b"hello"))
            assert await listener.queue.get() == "hello"
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            assert await listener.closed == (1006, "")

    play(story())


@pytest.mark.parametrize("size", [1, 10, 200, 5000])
def test_garbage_closes_the_door_and_raises_nothing(play, size):
    async def story():
        async with Server() as server:
            for _ in range(20):
                reader, writer, listener = await raw(server, os.urandom(size))
                writer.write_eof()
                await reader.read()
                writer.close()
                await listener.closed

    play(story())
