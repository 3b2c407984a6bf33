"""A whole run, at the most talkative level, leaves no prompt, no answer and no key behind."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import tarfile

import pytest

PROMPT = "marker-prompt-7fe1b0"
ANSWER = "baker"
"""A word of what the stand-in answers to it, and of nothing else here."""
IN_A_TOOL = "marker-tool-4d20c8"
IN_A_KEY = "sk-marker-engine-key-81d2"
SCHEMA = {"type": "object", "properties": {IN_A_TOOL: {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": IN_A_TOOL, "parameters": SCHEMA}}]


@pytest.fixture
async def run(deployment):
    """Console and node, both telling all they can, and an engine behind a key."""
    deployment.env |= {
        "BYOI_LOG_LEVEL": "debug",
        "BYOI_CONSOLE_LOG_LEVEL": "debug",
        "BYOI_ENGINE_API_KEY": IN_A_KEY,
    }
    await deployment.start_console()
    engine = await deployment.start_fake_engine("engine", "--api-key", IN_A_KEY)
    (deployment.folder / "node").mkdir(mode=0o700)
    (deployment.folder / "node" / "config.toml").write_text(f'engine = "{engine.ready["url"]}"\n')
    token = (await deployment.admin("POST", "/api/join-tokens", {"uses": 1}))["token"]
    await deployment.program(
        "byoi",
        "enroll",
        *("--console", deployment.url),
        *("--data-dir", deployment.folder / "node"),
        BYOI_JOIN_TOKEN=token,
    )
    deployment.join_token = token
    await deployment.run_node("node")
    return deployment


async def serve_everything(run):
    """Whole and streamed answers, tools, a client that leaves, and every kind of refusal."""
    told = PROMPT
    whole = await run.chat(told)
    assert whole.is_complete
    assert ANSWER in whole.text
    assert (await run.chat(told, stream=False)).status == 200
    await run.chat(told, tools=TOOLS, tool_choice="required")
    await run.chat(f"{told} [[tokens_per_second=20]]", max_tokens=50, leave_after_bytes=1)
    for fault in ("status_400", "status_500", "context", "not_json", "error_event", "truncated"):
        await run.chat(f"{told} [[fault={fault}]]")
    await run.chat(told, model=f"{PROMPT}-model")
    await run.chat(told, temperature=PROMPT)
    await run.post("/v1/chat/completions", {"messages": PROMPT})
    await run.post("/v1/completions", {"model": await run.model(), "prompt": told})


@pytest.mark.slow
async def test_a_whole_run_leaves_no_prompt_no_answer_and_no_key_behind(run):
    node = run.processes[-1]
    await serve_everything(run)
    place = json.loads((run.folder / "node" / "control.json").read_text())
    shown = await figures(run, place)
    node.kill()
    await node.wait(10)
    node = await run.run_node("node")
    control = json.loads((run.folder / "node" / "control.json").read_text())["control_token"]
    await serve_everything(run)
    node.process.send_signal(signal.SIGHUP)
    now = json.loads((run.folder / "node" / "control.json").read_text())
    shown += await figures(run, now)
    await ask_the_node_itself(run, now)
    shown.append(await run.program("byoi", "logs", "--data-dir", run.folder / "node", "-n", "9999"))
    shown.append(await run.program("byoi", "config", "show", "--data-dir", run.folder / "node"))
    shown.append(await bundled(run))
    assert await node.stop() == 0
    await run.console.stop()

    words = [PROMPT, ANSWER, IN_A_TOOL, IN_A_KEY, run.api_key, run.admin_key, run.join_token]
    words += [place["control_token"], control, *private_key(run)]
    left = {f"what was shown, part {number}": text for number, text in enumerate(shown)}
    left |= everything_written(run)
    assert "node.log" in left
    assert any(name.endswith("byoi.log") for name in left)
    assert any(name.endswith(".sqlite3") for name in left)
    found = [(name, word[:12]) for name, text in left.items() for word in words if word in text]
    assert not found


async def ask_the_node_itself(run, place):
    """The owner's own prompt, secrets that the control API refuses, and what is no HTTP."""
    headers = {"Authorization": f"Bearer {place['control_token']}"}
    url = place["control_url"]
    async with run.http.get(f"{url}/api/status", headers=headers) as response:
        own = (await response.json())["own"]["url"]
    prompt = {"model": await run.model(), "messages": [{"role": "user", "content": PROMPT}]}
    async with run.http.post(f"{own}/chat/completions", json=prompt) as response:
        assert response.status == 200
        assert ANSWER in await response.text()
    for name, value in (("engine_api_key", IN_A_KEY), ("slots", PROMPT)):
        change = {"value": value}
        path = f"{url}/api/config/{name}"
        async with run.http.put(path, json=change, headers=headers) as response:
            assert response.status in {400, 404}
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(f"GET / HTTP/1.1\r\nX: {PROMPT}\0\r\n\r\n".encode())
    assert b"400" in await reader.readline()
    writer.close()


async def bundled(run):
    """All that a support bundle has, unpacked."""
    file = run.folder / "bundle.tar.gz"
    await run.program("byoi", "doctor", "--bundle", "-o", file, "--data-dir", run.folder / "node")
    with tarfile.open(file) as archive:
        parts = [archive.extractfile(entry).read().decode() for entry in archive]
    assert len(parts) > 7
    return "\n".join(parts)


async def figures(run, place):
    headers = {"Authorization": f"Bearer {place['control_token']}"}
    async with run.http.get(f"{place['control_url']}/metrics", headers=headers) as response:
        assert response.status == 200
        metrics = await response.text()
    assert "byoi_requests_total" in metrics
    status = await run.program("byoi", "status", "--json", "--data-dir", run.folder / "node")
    return [metrics, status]


def private_key(run):
    """The lines of the key's file that nobody else may have."""
    (file,) = (run.folder / "node" / "keys").iterdir()
    return [line for line in file.read_text().splitlines() if line and not line.startswith("-")]


def everything_written(run):
    """Each file that console and node wrote, but for those that hold the secrets by their trade."""
    kept = {"control.json", "console.ready", "node.ready"}
    files = [
        file
        for file in run.folder.rglob("*")
        if file.is_file()
        and file.name not in kept
        and file.parent.name != "keys"
        and file.name != "engine.log"
    ]
    written = {
        str(file.relative_to(run.folder)): file.read_bytes().decode(errors="replace")
        for file in files
    }
    for file in files:
        if file.suffix == ".sqlite3":
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
                written[str(file.relative_to(run.folder))] += "\n".join(database.iterdump())
    return written
