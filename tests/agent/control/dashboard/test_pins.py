from __future__ import annotations

BY_SCRIPT = {"HX-Request": "true"}


async def test_who_asks_is_answered_and_the_answer_taken_back(whole, wishes):
    _, text = await whole.get("/pins")
    assert "Ärzte &lt;b&gt;e. V.&lt;/b&gt;" in text
    status, _, place = await whole.post("/pins", {"pin": "pin_1", "says": "consent"})
    assert (status, place) == (303, "/pins")
    assert "Withdraw" in (await whole.get("/pins"))[1]
    status, text, _ = await whole.post("/pins", {"pin": "pin_1", "says": "withdraw"}, **BY_SCRIPT)
    assert (status, "It holds at once" in text) == (200, True)
    assert wishes.said == [("granted", "dashboard"), ("refused", "dashboard")]


async def test_what_is_no_answer_or_of_no_pin_is_told(whole, wishes):
    assert (await whole.post("/pins", {"pin": "pin_1", "says": "perhaps"}))[0] == 400
    status, text, _ = await whole.post("/pins", {"pin": "pin_2", "says": "consent"})
    assert (status, "there is no such pin" in text) == (400, True)
    assert wishes.said == []
