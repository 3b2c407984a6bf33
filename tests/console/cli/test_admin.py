from __future__ import annotations

import base64
import stat

import pytest


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


async def test_a_lost_password_is_replaced_by_a_link_that_the_console_serves(console):
    await console.admin()
    _, url = await console.serve()
    command = (
        "admin",
        "reset-password",
        "--email",
        "ADA@example.org",
        "--data-dir",
        console.folder,
    )
    code, out, err = await console.run(*command, "--origin", url)
    assert code == 0, err
    link = out.splitlines()[-1].strip()
    assert link.startswith(f"{url}/reset-password/")
    status, page = await console.call(url, "GET", link.removeprefix(url))
    assert status == 200
    assert b"ada@example.org" in page


async def test_a_password_can_be_set_from_standard_input(console):
    admin = await console.admin()
    command = ("admin", "reset-password", "--email", admin["email"], "--data-dir", console.folder)
    for given, code, words in (
        ("short\n", 1, "at least 12 characters"),
        ("a few other words\n", 0, "signed out everywhere"),
    ):
        ended, out, err = await console.run(*command, "--password-stdin", stdin=given)
        assert ended == code
        assert words in out + err
        assert given.strip() not in out
    _, url = await console.serve()
    basic = "Basic " + base64.b64encode(b"ada@example.org:a few other words").decode()
    assert (await console.call(url, "GET", "/api/keys", authorization=basic))[0] == 200


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--email", "bob@example.org"), 1, "Nobody here has the email bob@example.org"),
        (("--email", "ada@example.org"), 78, "was never started; give its --origin"),
    ],
)
async def test_a_link_that_cannot_be_made_is_told_in_a_sentence(console, arguments, code, words):
    await console.admin()
    command = ("admin", "reset-password", "--data-dir", console.folder, *arguments)
    ended, out, err = await console.run(*command)
    assert (ended, out) == (code, "")
    assert words in err


async def test_a_folder_that_was_mistyped_does_not_become_a_console(console, tmp_path):
    place = tmp_path / "mistyped"
    command = ("admin", "reset-password", "--data-dir", place, "--email", "ada@example.org")
    code, out, err = await console.run(*command)
    assert (code, out) == (78, "")
    assert "there is no database at" in err
    assert not place.exists()
