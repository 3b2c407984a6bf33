"""A console backed up under load, lost, and restored elsewhere: its nodes and books come back."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from byoi_console.accounts.audit import AuditLog
from byoi_console.store.database import Database


@pytest.mark.slow
async def test_the_drill_under_load(deployment):
    await deployment.start_console()
    engine = await deployment.start_fake_engine()
    await deployment.start_node("node", "--engine", engine.ready["url"])
    first = await deployment.chat("before")
    assert first.is_complete
    file = deployment.folder / "console.bak"
    async with asyncio.TaskGroup() as tasks:
        load = [tasks.create_task(deployment.chat(f"number {n}")) for n in range(40)]
        tasks.create_task(
            deployment.program(
                "byoi-console", "backup", file, "--data-dir", deployment.folder / "console"
            )
        )
    assert all(task.result().is_complete for task in load)
    before = {(row["request_id"], row["attempt"]): row for row in await deployment.rows()}
    assert len(before) == 41

    # The machine is lost, with all that was on it.
    deployment.console.kill()
    await deployment.console.wait(20)
    shutil.rmtree(deployment.folder / "console")
    await deployment.program(
        "byoi-console", "restore", file, "--data-dir", deployment.folder / "console"
    )
    await deployment.start_console()

    async def is_back():
        return [node for node in await deployment.nodes() if node["state"] == "online"]

    assert len(await deployment.until(is_back, 60)) == 1
    assert (await deployment.chat("after")).is_complete, "the node and the key are the same"
    after = {(row["request_id"], row["attempt"]): row for row in await deployment.rows()}
    kept = before.keys() & after.keys()
    assert len(after) == len(kept) + 1
    assert first.headers["x-request-id"] in {request for request, _ in kept}
    for name in kept:
        assert after[name]["completion_tokens"] == before[name]["completion_tokens"]
    database = Database(f"sqlite+aiosqlite:///{deployment.folder}/console/console.sqlite3")
    assert await AuditLog(database).first_broken() is None
    await database.close()
