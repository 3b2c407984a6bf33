from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError


async def test_an_unknown_path_is_openai_s_404(api):
    answer = await api("GET", "/api/nothing")
    assert (answer.status, answer.code) == (404, "unknown_url")


async def test_a_wrong_method_is_told_with_the_right_ones(api):
    answer = await api("PUT", "/api/usage")
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]
    assert answer.code is None


async def test_a_database_that_refuses_is_503_and_tells_nothing_of_itself(api, rooms):
    def locked():
        raise OperationalError("SELECT secret", {}, Exception("database is locked"))

    rooms.services.usage._database = type("Locked", (), {"read": staticmethod(locked)})
    answer = await api("GET", "/api/usage")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"
    assert b"SELECT" not in answer.body


async def test_a_fault_of_ours_is_500_without_its_traceback(api, rooms):
    rooms.services.usage._database = None
    with pytest.raises(AttributeError):  # the server logs it
        await api("GET", "/api/usage")
