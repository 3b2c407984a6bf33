from __future__ import annotations

from email.utils import formatdate

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from byoi_agent.config.settings import Settings
from byoi_agent.doctor import console


@pytest.fixture
async def door():
    """A console's /healthz: `door.status` and `door.apart` (seconds that its clock is behind)."""

    class Door:
        status, apart, url = 200, 0.0, ""

        async def answer(self, _request):
            import time

            date = formatdate(time.time() - self.apart, usegmt=True)
            return web.json_response({}, status=self.status, headers={"date": date})

    door = Door()
    app = web.Application()
    app.router.add_get("/healthz", door.answer)
    server = TestServer(app)
    await server.start_server()
    door.url = str(server.make_url("")).rstrip("/")
    yield door
    await server.close()


async def test_a_console_that_answers_in_time(well, told, door):
    found = told(await console.check(well(console_url=door.url)))
    assert {name: finding.state for name, finding in found.items()} == {
        "dns": "skipped",
        "proxy": "skipped",
        "tls": "skipped",
        "console": "ok",
        "clock": "ok",
    }


@pytest.mark.parametrize(("apart", "words"), [(3600, "60 min ahead"), (-100, "s behind")])
async def test_clocks_that_are_apart(well, told, door, apart, words):
    door.apart = apart
    found = told(await console.check(well(console_url=door.url)))["clock"]
    assert found.state == "fail"
    assert words in found.text


async def test_something_else_at_the_address(well, told, door):
    door.status = 404
    assert told(await console.check(well(console_url=door.url)))["console"].state == "fail"


async def test_nobody_at_the_address(well, told, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    found = told(await console.check(well(console_url=url)))["console"]
    assert found.state == "fail"
    assert "firewall" in found.mend


async def test_a_name_that_is_none_ends_the_way(well, told):
    found = told(await console.check(well(console_url="https://nowhere.invalid")))
    assert found["dns"].state == "fail"
    assert "console" not in found


async def test_a_machine_that_is_not_enrolled(well, told):
    assert "byoi enroll" in told(await console.check(well()))["enrolment"].mend


@pytest.fixture
async def secure(helper, tmp_path):
    import ssl

    authority = helper("authority").Authority(tmp_path)
    certificate, key = authority.certificate("console", "IP:127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def answer(_request):
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/healthz", answer)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    yield str(server.make_url("")).rstrip("/"), authority.file
    await server.close()


async def test_a_certificate_of_an_unknown_authority(well, told, secure):
    found = told(await console.check(well(console_url=secure[0])))
    assert found["tls"].state == "fail"
    assert "BYOI_CA_FILE" in found["tls"].mend


async def test_a_trusted_certificate_that_ends_soon(well, told, secure):
    patient = well(console_url=secure[0], settings=Settings(ca_file=secure[1]))
    found = told(await console.check(patient))
    assert found["console"].state == "ok"
    assert found["tls"].state == "warn"
    assert "days" in found["tls"].text


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://jo:secret@proxy:3128"}, ("http://proxy:3128", "proxy")),
        ({"https_proxy": "proxy:3128"}, ("http://proxy:3128", "proxy")),
        ({"ALL_PROXY": "http://proxy:1", "NO_PROXY": ".example"}, None),
        ({"HTTP_PROXY": "http://proxy:1"}, None),
    ],
)
def test_the_proxy_that_holds_is_told_without_its_password(environment, proxy):
    assert console.proxy_for("https://console.example", environment) == proxy


async def test_certificates_that_cannot_be_read_are_told_with_their_setting(well, told, tmp_path):
    settings = Settings(ca_file=tmp_path / "none.pem")
    patient = well(settings=settings, console_url="https://127.0.0.1:1")
    found = told(await console.check(patient))["tls"]
    assert found.state == "fail"
    assert "BYOI_CA_FILE" in found.mend
