from __future__ import annotations


async def test_health_and_readiness_are_different_questions(api, rooms):
    assert (await api("GET", "/healthz", authorization=None)).status == 200
    assert (await api("GET", "/readyz", authorization=None)).status == 200
    rooms.state.why_not_ready = "the ledger cannot be written"
    answer = await api("GET", "/readyz", authorization=None)
    assert (answer.status, answer.json["reason"]) == (503, "the ledger cannot be written")
    assert (await api("GET", "/healthz", authorization=None)).status == 200
