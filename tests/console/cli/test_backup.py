from __future__ import annotations

import contextlib
import sqlite3

import pytest


async def test_a_restored_console_is_the_same_console(console, tmp_path):
    admin = await console.admin()
    (console.folder / "byoi-console.toml").write_text("drain_seconds = 1\n")
    code, out, _ = await console.run("backup", tmp_path / "b", "--data-dir", console.folder)
    assert code == 0
    assert "console.sqlite3, byoi-console.toml" in out
    other = tmp_path / "deep" / "other"
    code, out, err = await console.run("restore", tmp_path / "b", "--data-dir", other)
    assert (code, err) == (0, "")
    assert "byoi-console serve --data-dir" in out
    assert {path.name for path in other.iterdir()} == {
        "byoi-console.toml",
        "console.sqlite3",
        "console.sqlite3.lock",
    }
    console.folder = other
    _, url = await console.serve()
    key = f"Bearer {admin['api_key']}"
    assert (await console.call(url, "GET", "/api/nodes", None, key))[0] == 200


@pytest.mark.slow
async def test_what_is_there_is_not_replaced_by_mistake(console, tmp_path):
    await console.admin()
    made = tmp_path / "b"
    backup = ("backup", made, "--data-dir", console.folder)
    restore = ("restore", made, "--data-dir", console.folder)
    assert (await console.run(*backup))[0] == 0
    code, _, err = await console.run(*backup)
    assert code == 1
    assert "is there already; choose another name, or give --force" in err
    assert (await console.run(*backup, "--force"))[0] == 0
    code, _, err = await console.run(*restore)
    assert code == 1
    assert "is not empty (console.sqlite3)" in err
    assert (await console.run(*restore, "--force"))[0] == 0


async def test_a_console_that_serves_is_not_replaced_at_all(console, tmp_path):
    process, _ = await console.serve()
    made = tmp_path / "b"
    assert (await console.run("backup", made, "--data-dir", console.folder))[0] == 0
    code, _, err = await console.run("restore", made, "--data-dir", console.folder, "--force")
    assert code == 1
    assert f"(pid {process.pid})" in err


@pytest.mark.slow
async def test_a_backup_of_a_later_version_s_tables_is_refused(console, tmp_path):
    await console.admin()
    with contextlib.closing(sqlite3.connect(console.folder / "console.sqlite3")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v9999'")
        database.commit()
    assert (await console.run("backup", tmp_path / "b", "--data-dir", console.folder))[0] == 0
    code, _, err = await console.run("restore", tmp_path / "b", "--data-dir", tmp_path / "other")
    assert code == 78
    assert "made by a later version" in err
    assert not (tmp_path / "other" / "console.sqlite3").exists()


async def test_a_database_server_is_its_own_tool_s_business(console, tmp_path):
    url = "postgresql+asyncpg://u:hidden@h/x"
    code, _, err = await console.run("backup", tmp_path / "b", "--database-url", url)
    assert code == 78
    assert "pg_dump" in err
    assert "hidden" not in err


@pytest.mark.slow
async def test_paths_that_cannot_be_are_told_in_a_sentence(console, tmp_path):
    none = ("backup", tmp_path / "b", "--data-dir", tmp_path / "none")
    code, _, err = await console.run(*none)
    assert (code, "there is no database at" in err) == (1, True)
    await console.admin()
    lost = ("backup", tmp_path / "no" / "b", "--data-dir", console.folder)
    code, _, err = await console.run(*lost)
    assert (code, "there is no folder" in err) == (1, True)
