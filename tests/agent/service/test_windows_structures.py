from __future__ import annotations

import ctypes

import pytest

from byoi_agent.service import windows_structures as structures
from byoi_agent.service.windows_structures import Facts, Sizes


def test_the_structures_are_as_large_as_windows_headers_say():
    assert Sizes() == (40, 28, 36)


def test_a_failure_is_followed_by_a_start_after_two_ten_and_sixty_seconds():
    told = Facts().by_level[structures.FAILURE_ACTIONS]
    actions = [(told.actions[at].kind, told.actions[at].delay_milliseconds) for at in range(3)]
    assert told.count == 3
    assert actions == [(1, 2_000), (1, 10_000), (1, 60_000)]
    assert Facts().by_level[structures.FAILURE_FLAG].value == 1


def test_it_starts_late_has_its_own_account_and_time_for_requests_at_a_shutdown():
    facts = Facts().by_level
    assert facts[structures.DELAYED_START].value == 1
    assert facts[structures.SID_TYPE].value == 1
    assert facts[structures.PRESHUTDOWN].value == 120_000
    assert "console" in facts[structures.DESCRIBED].text
    assert structures.ACCOUNT == r"NT SERVICE\byoi"


def test_one_privilege_is_left_and_its_list_ends_twice():
    facts = Facts()
    assert facts.privileges() == "SeChangeNotifyPrivilege\0\0"
    told = facts.by_level[structures.REQUIRED_PRIVILEGES]
    assert ctypes.wstring_at(told.names) == "SeChangeNotifyPrivilege"


def test_what_a_windows_does_not_know_is_left_out_where_the_service_can_do_without():
    asked = []

    def knows_the_oldest(level, _):
        asked.append(level)
        return 0 if level in {structures.DESCRIBED, structures.FAILURE_ACTIONS} else 124

    Facts().tell(knows_the_oldest)
    assert set(asked) == set(Facts().by_level)


@pytest.mark.parametrize(("level", "error"), [(1, 124), (2, 124), (6, 5), (7, 87)])
def test_what_is_refused_is_told(level, error):
    with pytest.raises(OSError, match=f"level {level} .* error {error}"):
        Facts().tell(lambda at, _: error if at == level else 0)
