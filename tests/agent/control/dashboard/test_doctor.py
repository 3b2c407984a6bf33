from __future__ import annotations

BY_SCRIPT = {"HX-Request": "true"}


async def test_the_page_is_there_at_once_and_a_script_fetches_the_findings(whole):
    status, text = await whole.get("/doctor")
    assert status == 200
    assert 'hx-get="/doctor/look"' in text
    status, text = await whole.get("/doctor/look", **BY_SCRIPT)
    assert "<html" not in text
    assert "byoi models rm NAME" in text
    assert 'hx-post="/doctor/fix"' in text
    assert "<img" not in text


async def test_a_button_mends_what_loses_nothing_and_all_is_looked_at_again(whole):
    sent = {"X-CSRF-Token": await whole.word(), **BY_SCRIPT}
    status, text, _ = await whole.post("/doctor/fix", {}, **sent)
    assert status == 200
    assert "mended" in text
    assert "/doctor/fix" not in text  # nothing is left to be mended
    status, text, _ = await whole.post("/doctor/fix", {})
    assert "<html" in text


async def test_another_site_mends_nothing(whole):
    status, _, _ = await whole.post("/doctor/fix", {"csrf_token": "wrong"})
    assert status == 403


async def test_without_scripts_a_link_looks(whole):
    _, text = await whole.get("/doctor/look")
    assert "<html" in text
    assert "Disk" in text
