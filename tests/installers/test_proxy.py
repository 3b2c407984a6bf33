"""A machine whose only way out is a proxy, which wants a password."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
import socket
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODEL = "smollm2-135m-instruct"
PORT = 3128
PASSWORD = "p%2Dss"  # for tinyproxy p-ss: its file takes little else than letters
RELEASES = "releases.test"
SECONDS = 600
CONF = """
Port {port}
Listen 127.0.0.1
Timeout 600
LogLevel Connect
BasicAuth ada p-ss
"""


def load(name: str):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


machinery = load("machine")


@pytest.fixture
def machine(released):
    """Nothing but a loopback of its own, on which none of this machine's servers listens."""
    base = machinery.base("bookworm", (*machinery.PACKAGES, "tinyproxy-bin"))
    with machinery.Machine(base, network=False) as machine:
        released.give_wheels(machine)
        with (machine.root / "etc/hosts").open("a") as hosts:
            hosts.write(f"127.0.0.1 localhost {RELEASES}\n")
        yield machine


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


@pytest.fixture
async def proxied(machine, tmp_path):
    """The proxy, outside, and a port inside that leads to it and nowhere else; its log."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (machine.root / "srv/proxy.conf").write_text(CONF.format(port=port))
    outside = list(machine.command("tinyproxy", "-d", "-c", "/srv/proxy.conf"))
    outside.remove("--net")
    log = tmp_path / "proxy.log"

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            there, back = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pump(reader, back))
                tasks.create_task(pump(there, writer))

    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(*outside, stdout=written, stderr=written)
    async with await asyncio.start_server(relay, sock=machine.listen(PORT)):
        yield log
        process.terminate()  # which ends what the relay still carries
        await process.wait()


@pytest.fixture
def release(released, tmp_path):
    (tmp_path / "dist").mkdir()
    with released.Release(tmp_path / "dist").served() as release:
        release.url = release.url.replace("127.0.0.1", RELEASES)
        release.sign()
        yield release


@pytest.mark.slow
@pytest.mark.installer
async def test_script_service_and_enrolment_take_the_proxy_that_was_named(
    machine, release, deployment, heard, proxied
):
    await deployment.start_console()
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    (machine.root / "root/token").write_text(token)
    url = deployment.url
    proxy = f"http://ada:{PASSWORD}@127.0.0.1:{PORT}"
    order = f"--yes --console {url} --join-token-file /root/token --mode dedicated --model {MODEL}"
    script = f"curl -fsSL -x {proxy} {release.url}/install.sh | sh -s -- {order}"

    def install(*more: str):
        line = " ".join((script, *more))
        return asyncio.to_thread(machine.execute, "sh", "-c", line, seconds=SECONDS)

    without = await install()
    assert without.returncode == 69, without.stderr
    assert "Behind a proxy: --proxy URL" in without.stderr

    done = await install("--proxy", proxy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "byoi computes on" in done.stdout
    await heard(machine)
    answer = await deployment.chat("Say hello.", model=MODEL, max_tokens=8, temperature=0)
    assert answer.is_complete
    seen = proxied.read_text()
    assert f"GET {release.url}/SHA256SUMS " in seen
    assert f"CONNECT {url.removeprefix('http://')} " in seen  # the node's link
    for name in ("byoi-agent", "byoi-enroll", "byoi-update"):
        file = f"/etc/systemd/system/{name}.service.d/proxy.conf"
        assert machine.run("stat", "-c", "%U %a", file) == "root 600\n"
    kept = machine.run("cat", "/var/log/byoi-install.log")
    assert not re.search("p%+2Dss|p-ss", kept + done.stdout)
    machine.systemctl("stop", "byoi-agent")
