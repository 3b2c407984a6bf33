from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest


async def ended(process, seconds=90.0):
    return await asyncio.wait_for(process.wait(), seconds)


async def test_the_ready_file_says_where_it_serves_and_sigterm_ends_it(console, tmp_path):
    ready = tmp_path / "ready.json"
    process, url = await console.serve("--ready-file", ready)
    async with asyncio.timeout(60):
        while not ready.exists():
            await asyncio.sleep(0.01)
    told = json.loads(ready.read_text())
    assert (told["url"], told["pid"]) == (url, process.pid)
    assert ready.stat().st_mode & 0o077 == 0, "it may hold the link to become administrator"
    assert (await console.call(url, "GET", "/readyz"))[0] == 200
    process.send_signal(signal.SIGTERM)
    assert await ended(process) == 0


async def test_each_start_offers_one_set_up_link_until_somebody_administers(console, tmp_path):
    ready, links = tmp_path / "ready.json", []
    for _ in range(2):
        process, url = await console.serve(
            "--origin", "https://byoi.example", "--ready-file", ready
        )
        await asyncio.wait_for(process.stdout.readline(), 90)
        links.append((await asyncio.wait_for(process.stdout.readline(), 90)).strip().decode())
        assert links[-1].startswith("https://byoi.example/setup/")
        paths = [link.removeprefix("https://byoi.example") for link in links]
        answers = [(await console.call(url, "GET", path))[0] for path in paths]
        assert answers == [404] * (len(links) - 1) + [200], "a newer link ends the older ones"
        process.send_signal(signal.SIGTERM)
        await ended(process)
    assert json.loads(ready.read_text())["setup_url"] == links[-1]
    await console.admin()
    process, _ = await console.serve("--ready-file", ready)
    process.send_signal(signal.SIGTERM)
    rest, _ = await asyncio.wait_for(process.communicate(), 90)
    assert rest == b"", "whoever administers makes further people"
    assert "setup_url" not in json.loads(ready.read_text())


async def test_a_console_that_starts_again_knows_its_keys_and_itself(console, machine):
    admin = await console.admin()
    key = f"Bearer {admin['api_key']}"
    origins = set()
    for _ in range(2):
        process, url = await console.serve()
        _, token = await console.call(url, "POST", "/api/join-tokens", {}, key)
        status, node = await console.call(url, "POST", "/agent/v1/token", machine(token["token"]))
        assert status == 200
        origins.add((node["origin"], node["console_key"]))
        process.send_signal(signal.SIGKILL)
        await ended(process)
    assert len(origins) == 1


async def test_it_ends_with_its_standard_input(console):
    process, _ = await console.serve("--exit-with-stdin")
    process.stdin.close()
    assert await ended(process) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
async def test_it_ends_when_its_parent_is_killed(console):
    """A shell stands between: it is killed, and what it started must follow."""
    admin = ("--data-dir", str(console.folder), "--port", "0", "--exit-with-parent")
    program = Path(sys.executable).with_name("byoi-console")
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import subprocess, sys; subprocess.run(sys.argv[1:])",
        *(str(program), "serve", *admin),
        stdout=asyncio.subprocess.PIPE,
    )
    console.processes.append(parent)
    line = await asyncio.wait_for(parent.stdout.readline(), 90)
    assert b"serves at" in line
    parent.kill()
    # Its standard output ends when the last process that holds it is gone.
    await asyncio.wait_for(parent.stdout.read(), 90)


async def test_a_port_that_is_taken_is_told_with_the_mend(console):
    _, url = await console.serve()
    port = url.rpartition(":")[2]
    code, _, err = await console.run("serve", "--port", port, "--data-dir", console.folder)
    assert code == 78
    assert "choose another with --port" in err
    assert "Traceback" not in err


async def test_a_wrong_setting_is_exit_code_78(console):
    code, _, err = await console.run("serve", BYOI_CONSOLE_PROT="1")
    assert code == 78
    assert err == (
        "byoi-console: BYOI_CONSOLE_PROT is not a setting; did you mean BYOI_CONSOLE_PORT?\n"
    )


async def test_no_key_or_token_reaches_the_log(console, machine):
    admin = await console.admin()
    process, url = await console.serve("--log-level", "debug", "--log-format", "json")
    key = f"Bearer {admin['api_key']}"
    _, made = await console.call(url, "POST", "/api/keys", {"name": "a"}, key)
    _, token = await console.call(url, "POST", "/api/join-tokens", {}, key)
    await console.call(url, "POST", "/agent/v1/token", machine(token["token"]))
    process.send_signal(signal.SIGTERM)
    _, log = await asyncio.wait_for(process.communicate(), 90)
    for secret in (admin["api_key"], admin["password"], made["key"], token["token"]):
        assert secret[12:].encode() not in log
    assert all(json.loads(line) for line in log.splitlines())


async def test_two_consoles_never_serve_from_one_folder(console):
    first, _ = await console.serve()
    arguments = ("serve", "--port", "0", "--data-dir", console.folder)
    code, _, err = await console.run(*arguments)
    assert code == 1
    assert f"(pid {first.pid})" in err
    assert "choose another --data-dir" in err
    assert "Traceback" not in err
    first.send_signal(signal.SIGKILL)
    await ended(first)
    await console.serve()


async def test_an_administrator_is_made_beside_a_console_that_serves(console):
    _, url = await console.serve()
    key = (await console.admin())["api_key"]
    assert (await console.call(url, "GET", "/api/nodes", None, f"Bearer {key}"))[0] == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ready-file", "/nowhere/at/all.json"), "there is no folder /nowhere/at"),
        (("--database-url", "oracle+nothing://u:hidden@h/x"), "oracle+nothing cannot be used"),
    ],
)
async def test_what_cannot_be_is_told_in_a_sentence_and_without_secrets(console, arguments, words):
    folder = ("--port", "0", "--data-dir", console.folder)
    code, _, err = await console.run("serve", *folder, *arguments)
    assert (code, err.count("byoi-console: ")) == (78, 1)
    assert words in err
    assert "Traceback" not in err
    assert "hidden" not in err


async def test_sighup_ends_nothing(console):
    process, url = await console.serve("--log-format", "json")
    process.send_signal(signal.SIGHUP)
    assert (await console.call(url, "GET", "/readyz"))[0] == 200
    process.send_signal(signal.SIGTERM)
    _, log = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0
    assert b"nothing to reload" in log


async def test_a_password_on_the_command_line_is_pointed_out(console):
    url = "postgresql+asyncpg://u:s3cret@127.0.0.1:1/x"
    _, _, err = await console.run("serve", "--port", "0", "--database-url", url)
    assert "name that with --database-url-file" in err
    assert "s3cret" not in err
