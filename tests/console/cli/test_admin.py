from __future__ import annotations

import stat


async def test_an_admin_can_be_made_before_the_first_start_and_beside_a_running_console(console):
    before = await console.admin("ada@example.org")
    _, url = await console.serve()
    beside = await console.admin("bob@example.org")
    for admin in (before, beside):
        assert set(admin) == {"email", "password", "api_key"}
        key = f"Bearer {admin['api_key']}"
        status, keys = await console.call(url, "GET", "/api/keys", authorization=key)
        assert status == 200
        assert len(keys["data"]) == 2, "both are of one organisation"


async def test_an_email_that_is_taken_is_told_in_a_sentence(console):
    await console.admin()
    code, out, err = await console.run(
        "admin", "create", "--email", "ADA@example.org", "--data-dir", console.folder
    )
    assert (code, out) == (1, "")
    assert err == "byoi-console: ada@example.org has an account already.\n"


async def test_without_json_it_is_for_people(console):
    code, out, _ = await console.run(
        "admin", "create", "--email", "a@example.org", "--data-dir", console.folder
    )
    assert code == 0
    assert "password  " in out
    assert "sk-byoi-" in out


async def test_what_is_kept_is_for_its_owner_only(console):
    await console.admin()
    assert stat.S_IMODE(console.folder.stat().st_mode) == 0o700
    for path in console.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
