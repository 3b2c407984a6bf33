from __future__ import annotations

BY_SCRIPT = {"HX-Request": "true"}


async def test_the_page_is_there_at_once_and_a_script_fetches_the_findings(whole):
    status, text = await whole.get("/doctor")
    assert status == 200
    assert 'hx-get="/doctor/look"' in text
    status, text = await whole.get("/doctor/look", **BY_SCRIPT)
    assert "<html" not in text
    assert "byoi models rm NAME" in text
    assert "byoi doctor --fix does it" in text
    assert "<img" not in text


async def test_without_scripts_a_link_looks(whole):
    _, text = await whole.get("/doctor/look")
    assert "<html" in text
    assert "Disk" in text
