from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.control.sessions import CODE_SECONDS, IDLE_SECONDS, LIFE_SECONDS, Sessions


class Hand:
    """A clock that is set by hand."""

    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


@pytest.fixture
def hand():
    return Hand()


@pytest.fixture
def sessions(hand):
    return Sessions(hand)


def test_a_code_lets_one_browser_in_once(sessions):
    code = sessions.make_code()
    cookie = sessions.redeem(code)
    assert sessions.use(cookie).csrf
    assert sessions.redeem(code) is None


def test_a_code_waits_a_minute_and_no_longer(sessions, hand):
    early, late = sessions.make_code(), sessions.make_code()
    hand.at += CODE_SECONDS - 1
    assert sessions.redeem(early)
    hand.at += 1
    assert sessions.redeem(late) is None


def test_of_too_many_codes_the_oldest_goes(sessions):
    codes = [sessions.make_code() for _ in range(9)]
    assert sessions.redeem(codes[0]) is None
    assert all(sessions.redeem(code) for code in codes[1:])


def test_of_too_many_sessions_the_least_used_goes(sessions):
    cookies = [sessions.redeem(sessions.make_code()) for _ in range(16)]
    sessions.use(cookies[0])
    one_more = sessions.redeem(sessions.make_code())
    assert sessions.use(cookies[1]) is None
    assert sessions.use(cookies[0])
    assert sessions.use(one_more)


def test_a_session_ends_when_it_is_not_used(sessions, hand):
    cookie = sessions.redeem(sessions.make_code())
    hand.at += IDLE_SECONDS - 1
    assert sessions.use(cookie)
    hand.at += IDLE_SECONDS - 1
    assert sessions.use(cookie)
    hand.at += IDLE_SECONDS
    assert sessions.use(cookie) is None


def test_what_streams_to_a_page_ends_with_its_session(sessions, hand):
    cookie = sessions.redeem(sessions.make_code())
    hand.at += IDLE_SECONDS - 1
    assert sessions.has(cookie)
    hand.at += 1
    assert not sessions.has(cookie)
    assert not sessions.has("none")


def test_a_session_ends_after_a_week_however_much_it_is_used(sessions, hand):
    cookie = sessions.redeem(sessions.make_code())
    for _ in range(round(LIFE_SECONDS / IDLE_SECONDS * 2) - 1):
        hand.at += IDLE_SECONDS / 2
        assert sessions.use(cookie)
    hand.at += IDLE_SECONDS / 2
    assert sessions.use(cookie) is None


def test_who_signs_out_is_out(sessions):
    cookie = sessions.redeem(sessions.make_code())
    sessions.end(cookie)
    sessions.end("none")
    assert sessions.use(cookie) is None


def test_each_session_has_a_word_of_its_own_and_nothing_of_it_is_shown(sessions):
    one, other = (sessions.use(sessions.redeem(sessions.make_code())) for _ in range(2))
    assert one.csrf != other.csrf
    assert one.csrf not in repr(one)
    assert "csrf" not in repr(one)


def test_when_all_are_signed_out_no_code_lets_in_either(sessions):
    cookies = [sessions.redeem(sessions.make_code()) for _ in range(2)]
    code = sessions.make_code()
    assert sessions.end_all() == 2
    assert sessions.redeem(code) is None
    assert not any(sessions.use(cookie) for cookie in cookies)


@pytest.fixture
def next_process():
    """The node started anew; its clock begins somewhere else."""
    hand = Hand()
    hand.at = 7.0
    return Sessions(hand), hand


def test_a_session_goes_on_in_the_next_process_with_its_word(sessions, next_process):
    cookie = sessions.redeem(sessions.make_code())
    csrf = sessions.use(cookie).csrf
    after, _ = next_process
    after.let_in_again(sessions.kept(), 5.0)
    assert after.use(cookie).csrf == csrf
    assert after.use(after.redeem(after.make_code()))


def test_a_restart_makes_no_session_younger(sessions, hand, next_process):
    cookie = sessions.redeem(sessions.make_code())
    hand.at += IDLE_SECONDS - 100
    after, later = next_process
    after.let_in_again(sessions.kept(), 60.0)
    assert after.use(cookie).began_at == pytest.approx(later.at - IDLE_SECONDS + 40)
    other, late = Sessions(Hand()), sessions.kept()
    other.let_in_again(late, 100.0)
    assert other.use(cookie) is None


def test_neither_the_cookie_nor_what_is_over_is_kept(sessions, hand):
    old = sessions.redeem(sessions.make_code())
    hand.at += IDLE_SECONDS
    cookie = sessions.redeem(sessions.make_code())
    (kept,) = sessions.kept()
    assert cookie not in kept.model_dump_json()
    assert old not in kept.model_dump_json()
    assert kept.csrf not in repr(kept)


def test_who_signed_out_is_not_let_in_again(sessions, next_process):
    cookie = sessions.redeem(sessions.make_code())
    sessions.end(cookie)
    next_process[0].let_in_again(sessions.kept(), 1.0)
    assert next_process[0].use(cookie) is None


@given(st.text(max_size=60))
def test_no_text_is_a_code_or_a_cookie(text):
    sessions = Sessions(Hand())
    code = sessions.make_code()
    if text != code:
        assert sessions.redeem(text) is None
    assert sessions.use(text) is None
    assert sessions.redeem(code)
