"""nginx in front, set up as the operator's guide says: TLS, streams, links, and who is asking."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
from pathlib import Path

import aiohttp
import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "operator-guide.md"


@pytest.fixture
def authority(helper, tmp_path):
    return helper("authority").Authority(tmp_path)


@pytest.fixture
async def nginx(tmp_path, helper, authority, unused_tcp_port):
    """nginx with the guide's own server block, in front of a port."""
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx: apt install nginx")
    deployment = helper("deployment")
    started = []

    async def start(console_port):
        chain, key = authority.certificate("proxy", "IP:127.0.0.1")
        block = re.search(r"```nginx\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]
        for guide_s, ours in (
            ("listen 443 ssl;", f"listen 127.0.0.1:{unused_tcp_port} ssl;"),
            ("/etc/ssl/byoi.example.pem", str(chain)),
            ("/etc/ssl/byoi.example.key", str(key)),
            ("127.0.0.1:8700", f"127.0.0.1:{console_port}"),
        ):
            assert guide_s in block, guide_s
            block = block.replace(guide_s, ours)
        config = tmp_path / "nginx.conf"
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in kinds)
        config.write_text(
            f"daemon off;\npid {tmp_path}/nginx.pid;\nerror_log stderr;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{block}}}\n"
        )
        process = deployment.Process(
            *("nginx", tmp_path, "nginx", "-c", config, "-p", tmp_path), env={"PATH": "/usr/sbin"}
        )
        started.append(process)
        await process.start()
        return unused_tcp_port

    yield start
    for process in started:
        await process.stop()


@pytest.fixture
async def behind(deployment, nginx, authority):
    """A console that is reached through nginx only; flags are the trust that nodes need."""
    await deployment.start_console(**{"trusted-proxies": "127.0.0.1"})
    deployment.console_port = await nginx(deployment.console_port)
    deployment.tls = ssl.create_default_context(cafile=authority.file)

    async def answers():
        try:
            async with deployment.http.get(deployment.url + "/readyz", ssl=deployment.tls) as got:
                return got.status == 200
        except OSError:
            return False

    await deployment.until(answers)
    return ("--ca-file", str(authority.file))


@pytest.mark.slow
async def test_links_and_streams_pass_the_proxy_piece_by_piece(deployment, behind):
    engine = await deployment.start_fake_engine()
    await deployment.engine_control(engine, tokens_per_second=20)
    await deployment.enrol("node", None, *behind)
    await deployment.run_node("node", "--engine", engine.ready["url"], *behind)
    body = {
        "model": await deployment.model(),
        "messages": [{"role": "user", "content": "slowly"}],
        "stream": True,
    }
    headers = {"Authorization": f"Bearer {deployment.api_key}"}
    loop = asyncio.get_running_loop()
    async with deployment.http.post(
        deployment.url + "/v1/chat/completions", json=body, headers=headers, ssl=deployment.tls
    ) as response:
        assert response.status == 200
        arrivals = [loop.time() async for _ in response.content.iter_any()]
    assert arrivals[-1] - arrivals[0] > 0.1, "the proxy keeps nothing back"


@pytest.mark.slow
async def test_who_guesses_keys_is_held_up_alone(deployment, behind):
    async def status_from(address, claims=None):
        headers = {"Authorization": "Bearer sk-byoi-wrong"}
        if claims is not None:
            headers["X-Forwarded-For"] = claims
        connector = aiohttp.TCPConnector(local_addr=(address, 0))
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.get(
                deployment.url + "/v1/models", headers=headers, ssl=deployment.tls
            ) as response,
        ):
            return response.status

    # Made-up addresses change nothing: the proxy adds the one that it sees.
    statuses = [await status_from("127.0.0.2", f"198.51.100.{n}") for n in range(25)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert await status_from("127.0.0.3") == 401
