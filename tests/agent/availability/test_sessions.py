from __future__ import annotations

import pytest

from byoi_agent.availability.readings import SessionReading
from byoi_agent.availability.sessions import HELPER_SECONDS, Sessions, merged


class _Desk:
    def __init__(self):
        self.news = []
        self.sessions = Sessions(
            "jo", session=self.news.append, gone=lambda user: self.news.append(("gone", user))
        )

    def take(self):
        news, self.news[:] = list(self.news), []
        return news


@pytest.fixture
def desk():
    return _Desk()


def jo(idle=None, locked=None, fullscreen=None, source="x"):
    return SessionReading("jo", idle, locked, fullscreen, (source,))


def test_passing_time_alone_is_no_news_but_a_key_is(desk):
    desk.sessions.say("x", (jo(100.0),), 0.0)
    assert desk.take() == [jo(100.0)]
    desk.sessions.say("x", (jo(100.25),), 0.25)
    desk.sessions.say("x", (jo(100.5),), 0.5)
    assert desk.take() == []
    desk.sessions.say("x", (jo(0.1),), 0.75)
    assert desk.take() == [jo(0.1)]


def test_now_and_then_a_session_is_told_of_anyhow(desk):
    desk.sessions.say("x", (jo(0.0),), 0.0)
    desk.take()
    desk.sessions.look(9.9)
    assert desk.take() == []
    desk.sessions.look(10.0)
    assert desk.take() == [jo(10.0)]


def test_a_lock_and_a_full_screen_are_news(desk):
    desk.sessions.say("x", (jo(5.0),), 0.0)
    desk.take()
    desk.sessions.say("x", (jo(5.1, True),), 0.1)
    desk.sessions.say("x", (jo(5.2, True, "film"),), 0.2)
    desk.sessions.say("x", (jo(5.3, True),), 0.3)
    assert [(one.is_locked, one.fullscreen) for one in desk.take()] == [
        (True, None), (True, "film"), (True, None),
    ]  # fmt: skip


def test_a_broken_source_hides_no_other(desk):
    desk.sessions.say("mutter", None, 0.0)
    desk.sessions.say("x", (jo(5.0),), 0.0)
    assert desk.take()[-1] == jo(5.0)
    desk.sessions.say("mutter", (jo(1.0, source="mutter"),), 0.0)
    (told,) = desk.take()
    assert (told.idle_seconds, told.sources) == (1.0, ("mutter", "x"))
    desk.sessions.say("mutter", None, 0.1)
    assert desk.take()[-1].idle_seconds == pytest.approx(5.1)


def test_where_a_source_is_but_none_answers_the_session_cannot_be_read(desk):
    desk.sessions.say("x", None, 0.0)
    assert desk.take() == [SessionReading("jo")]
    desk.sessions.say("logind", None, 0.0)
    assert desk.take() == []


def test_where_the_login_manager_lists_nobody_nobody_is_there(desk):
    desk.sessions.say("logind", (), 0.0)
    desk.sessions.say("mutter", None, 0.0)
    assert desk.take() == []
    desk.sessions.say("logind", (jo(source="logind"),), 1.0)
    assert desk.take() == [jo(source="logind")]
    desk.sessions.say("logind", (), 2.0)
    assert desk.take() == [("gone", "jo")]


def test_helpers_of_others_speak_for_their_sessions(desk):
    ann = SessionReading("ann", 3.0)
    assert desk.sessions.report("ann at :0", ann, 0.0)
    assert desk.take() == [ann]
    desk.sessions.end("ann at :0", 1.0)
    assert desk.take() == [("gone", "ann")]
    desk.sessions.end("ann at :0", 1.0)
    assert desk.take() == []


def test_a_helper_that_falls_silent_leaves_a_session_that_cannot_be_read(desk):
    ann = SessionReading("ann", 300.0)
    desk.sessions.report("helper", ann, 0.0)
    desk.take()
    desk.sessions.look(HELPER_SECONDS)
    assert desk.take() == [SessionReading("ann")]
    desk.sessions.report("helper", ann, 9.0)
    assert desk.take() == [ann]


def test_a_helper_that_falls_silent_after_the_log_out_is_gone(desk):
    desk.sessions.say("logind", (), 0.0)
    desk.sessions.report("helper", SessionReading("ann", 300.0), 0.0)
    desk.take()
    desk.sessions.look(HELPER_SECONDS)
    assert desk.take() == [("gone", "ann")]


def test_helpers_are_bounded(desk):
    taken = [
        desk.sessions.report(f"helper {n}", SessionReading(f"u{n}", 1.0), 0.0) for n in range(70)
    ]
    assert taken.count(True) == 64
    assert desk.sessions.report("helper 3", SessionReading("u3", 0.0), 0.1)


def test_readings_of_a_source_are_bounded(desk):
    desk.sessions.say("x", tuple(SessionReading(f"u{n}") for n in range(500)), 0.0)
    assert len(desk.take()) == 64


def test_the_login_managers_time_holds_only_where_no_other_is_known():
    late, exact = jo(20.0, source="logind"), jo(320.0)
    assert merged([late, exact]).idle_seconds == 320.0
    assert merged([late, jo()]).idle_seconds == 20.0


def test_locked_is_what_nobody_denies():
    assert merged([jo(locked=True), jo(locked=None)]).is_locked is True
    assert merged([jo(locked=True), jo(locked=False)]).is_locked is False
    assert merged([jo()]).is_locked is None


def test_helpers_are_counted_and_other_sources_are_not(desk):
    desk.sessions.say("logind", (), 0.0)
    assert desk.sessions.helpers == 0
    desk.sessions.report("ann", SessionReading("ann", 300.0), 0.0)
    assert desk.sessions.helpers == 1


def test_helpers_count_while_they_report_and_not_what_this_process_sees(desk):
    desk.sessions.say("x", (jo(1.0),), 0.0)
    assert desk.sessions.helpers == 0
    desk.sessions.report("uid 1000", jo(1.0), 0.0)
    assert desk.sessions.helpers == 1
    desk.sessions.end("uid 1000", 1.0)
    assert desk.sessions.helpers == 0


def test_what_this_process_saw_can_be_forgotten(desk):
    desk.sessions.say("x", (jo(1.0),), 0.0)
    desk.sessions.report("uid 1001", SessionReading("ann", 1.0), 0.0)
    desk.take()
    desk.sessions.forget_own(1.0)
    assert desk.take() == [("gone", "jo")]
