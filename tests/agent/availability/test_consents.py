from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.availability.consents import (
    ASKED_LIMIT,
    BY_SETTING,
    OVER_LIMIT,
    Consents,
    Pin,
    ask,
    consent,
    refuse,
    stop_asking,
    take,
)
from byoi_agent.errors import ConfigError


def pin(name="pin_1", org="org_1", organisation="One", **more):
    return Pin(name, org, organisation, "why", "ada", 1, **more)


def asked(*pins, setting=None):
    consents = Consents()
    for each in pins:
        consents = ask(consents, each, setting, 10)
    return consents


def states(consents):
    return {each.pin_id: each.state for each in consents.pins}


def test_an_ask_is_only_an_ask():
    consents = asked(pin())
    assert states(consents) == {"pin_1": "asked"}
    assert consents.granted is None


def test_yes_no_and_no_more():
    given_ = consent(asked(pin()), "pin_1", "jo", 20)
    assert (given_.granted.actor, given_.granted.at_ms) == ("jo", 20)
    assert consent(given_, "pin_1", "other", 30) == given_
    back = refuse(given_, "pin_1", "jo", None, 40)
    assert states(back) == {"pin_1": "withdrawn"}
    assert refuse(back, "pin_1", "jo", None, 50) == back
    assert states(refuse(asked(pin()), "pin_1", "jo", None, 20)) == {"pin_1": "refused"}


def test_what_is_over_has_to_be_asked_anew():
    back = refuse(asked(pin()), "pin_1", "jo", None, 20)
    with pytest.raises(ConfigError, match="ask again"):
        consent(back, "pin_1", "jo", 30)
    assert ask(back, pin(), None, 30) == back
    again = ask(back, pin("pin_2"), None, 30)
    assert states(again) == {"pin_1": "refused", "pin_2": "asked"}


def test_two_organisations_cannot_both_have_it():
    both = consent(asked(pin(), pin("pin_2", "org_2", "Two")), "pin_1", "jo", 20)
    with pytest.raises(ConfigError, match="One"):
        consent(both, "pin_2", "jo", 30)
    assert (
        consent(refuse(both, "pin_1", "jo", None, 40), "pin_2", "jo", 50).granted.org_id == "org_2"
    )


@pytest.mark.parametrize("answer", [consent, lambda c, p, a, n: refuse(c, p, a, None, n)])
def test_an_unknown_pin_is_told(answer):
    with pytest.raises(ConfigError, match="byoi pins"):
        answer(Consents(), "pin_9", "jo", 1)


def test_a_new_wish_of_the_same_organisation_takes_the_old_one_s_place():
    assert states(asked(pin(), pin("pin_2"))) == {"pin_2": "asked"}


def test_what_was_consented_to_stays_in_the_words_of_that_time():
    given_ = consent(asked(pin()), "pin_1", "jo", 20)
    assert ask(given_, replace(pin(), reason="other", org_id="org_9"), None, 30) == given_


def test_an_organisation_that_asks_no_more_has_it_no_more():
    given_ = consent(asked(pin()), "pin_1", "jo", 20)
    assert stop_asking(given_, "pin_1") == Consents()
    assert stop_asking(given_, "pin_2") == given_


@pytest.mark.parametrize("setting", ["org_1", "One"])
def test_the_setting_grants_at_once_and_takes_back_with_its_change(setting):
    held = asked(pin(), setting=setting)
    assert (held.granted.actor, held.granted.at_ms) == (BY_SETTING, 10)
    assert take(held, setting, 20) == held
    assert states(take(held, None, 20)) == {"pin_1": "withdrawn"}
    assert asked(pin("pin_2", "org_2", "Two"), setting=setting).granted is None
    assert take(asked(pin()), setting, 20).granted is not None


def test_the_owner_s_word_outlives_the_setting_that_it_went_against():
    held = asked(pin(), setting="One")
    back = refuse(held, "pin_1", "jo", "One", 20)
    again = ask(back, pin("pin_2"), "One", 30)
    assert again.granted is None
    assert take(again, "One", 40).granted is None
    assert take(take(again, None, 50), "One", 60).granted.pin_id == "pin_2"


def test_what_the_owner_granted_does_not_hang_on_the_setting():
    held = consent(asked(pin()), "pin_1", "jo", 20)
    assert take(take(held, "Two", 30), None, 40).granted is not None
    assert ask(held, pin("pin_2", "org_2", "Two"), "Two", 30).granted.org_id == "org_1"


def test_no_more_is_kept_than_an_owner_could_look_through():
    many = asked(*(pin(f"pin_{n}", f"org_{n}") for n in range(ASKED_LIMIT + 3)))
    assert [each.pin_id for each in many.pins] == [f"pin_{n}" for n in range(3, ASKED_LIMIT + 3)]
    over = Consents()
    for n in range(OVER_LIMIT + 3):
        over = refuse(ask(over, pin(f"pin_{n}"), None, n), f"pin_{n}", "jo", None, n)
    assert len(over.pins) == OVER_LIMIT


NAMES = st.sampled_from(["pin_1", "pin_2", "pin_3"])
SETTINGS = st.sampled_from([None, "org_1", "Two"])
STEPS = st.one_of(
    st.tuples(st.just("ask"), NAMES),
    st.tuples(st.just("stop"), NAMES),
    st.tuples(st.just("consent"), NAMES),
    st.tuples(st.just("refuse"), NAMES),
    st.tuples(st.just("take"), SETTINGS),
)
WISHES = {
    "pin_1": pin("pin_1", "org_1", "One"),
    "pin_2": pin("pin_2", "org_2", "Two"),
    "pin_3": pin("pin_3", "org_1", "One"),
}


@given(st.lists(STEPS, max_size=25))
def test_nothing_holds_without_the_owner_s_yes_and_nothing_after_his_no(steps):
    consents, setting, said_yes = Consents(), None, set()
    for verb, name in steps:
        if verb == "ask":
            consents = ask(consents, WISHES[name], setting, 1)
        elif verb == "stop":
            consents = stop_asking(consents, name)
            said_yes.discard(name)
        elif verb == "take":
            setting = name
            consents = take(consents, setting, 1)
        else:
            try:
                if verb == "consent":
                    consents = consent(consents, name, "jo", 1)
                    said_yes.add(name)
                else:
                    consents = refuse(consents, name, "jo", setting, 1)
                    said_yes.discard(name)
                    assert consents.granted is None or consents.granted.pin_id != name
            except ConfigError:
                pass
        held = [each for each in consents.pins if each.state == "granted"]
        assert len(held) <= 1
        for each in held:
            by_setting = setting in {each.org_id, each.organisation}
            assert each.pin_id in said_yes or (each.actor == BY_SETTING and by_setting)
