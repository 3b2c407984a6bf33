from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.hardware.power_limit import LimitOutcome, PowerLimits, in_thread, wanted_of

WATT = 1000
DONE = LimitOutcome()


@pytest.fixture
def limits(tmp_path, in_process):
    return PowerLimits(tmp_path / "power-limits.json")


def kept(limits):
    cards = json.loads(limits.file.read_text())["cards"]
    return {name[:12]: (one["former"], one["ours"]) for name, one in cards.items()}


def test_every_card_gets_the_limit_and_the_former_one_comes_back(nvml, limits, in_process):
    in_process.shows(nvml.server(2)).set({"1.limit": 500 * WATT})
    assert limits.give(300) == DONE
    assert in_process.limits_set == [(0, 300 * WATT), (1, 300 * WATT)]
    assert kept(limits) == {
        "GPU-00000000": (650 * WATT, 300 * WATT),
        "GPU-00000001": (500 * WATT, 300 * WATT),
    }
    assert limits.file.stat().st_mode & 0o077 == 0
    assert limits.give(None) == DONE
    assert in_process.limits_set[2:] == [(0, 650 * WATT), (1, 500 * WATT)]
    assert not limits.file.exists()


def test_what_holds_already_is_not_set_again(nvml, limits, in_process):
    in_process.shows(nvml.server(1))
    limits.give(300)
    assert limits.give(300) == DONE
    assert in_process.limits_set == [(0, 300 * WATT)]
    assert limits.give(200) == DONE
    assert in_process.limits_set == [(0, 300 * WATT), (0, 200 * WATT)]
    limits.give(None)
    assert in_process.limits_set[-1] == (0, 650 * WATT)


def test_after_a_crash_the_next_start_puts_the_former_limit_back(nvml, limits, in_process):
    in_process.shows(nvml.server(1))
    limits.give(300)  # and the process is killed
    assert PowerLimits(limits.file).give(None) == DONE
    assert in_process.limits_set[-1] == (0, 650 * WATT)


def test_who_has_no_right_is_told_the_command(nvml, limits, in_process):
    in_process.shows(nvml.server(2)).set({"*.set_limit": "!4"})
    outcome = limits.give(300)
    told = "this user has no permission"
    assert outcome.problems == (f"GPU 0: {told}", f"GPU 1: {told}")
    assert outcome.commands == ("sudo nvidia-smi -i 0 -pl 300", "sudo nvidia-smi -i 1 -pl 300")
    assert not limits.file.exists()
    assert limits.give(None) == DONE


def test_where_root_has_typed_it_nothing_is_left_to_tell(nvml, limits, in_process):
    in_process.shows(nvml.server(1)).set({"*.set_limit": "!4", "*.limit": 300 * WATT})
    assert limits.give(300) == DONE
    assert not limits.file.exists()


def test_a_limit_is_kept_within_what_the_card_takes(nvml, limits, in_process):
    in_process.shows(nvml.server(1))
    outcome = limits.give(50)
    assert outcome.problems == ("GPU 0: it takes 200 to 700 W, so that it has 200",)
    assert outcome.commands == ()
    assert in_process.limits_set == [(0, 200 * WATT)]
    assert kept(limits) == {"GPU-00000000": (650 * WATT, 200 * WATT)}


def test_a_card_that_cannot_be_limited_says_so(nvml, limits, in_process):
    in_process.shows(nvml.laptop())
    outcome = limits.give(50)
    assert outcome.problems == ("GPU 0: Not Supported",)


def test_a_limit_that_somebody_else_sets_meanwhile_is_theirs(nvml, limits, in_process):
    in_process.shows(nvml.server(1))
    limits.give(300)
    in_process.forget_limits().set({"*.limit": 400 * WATT})
    assert limits.give(300) == DONE
    assert limits.give(300) == DONE
    assert in_process.limits_set == []
    assert limits.give(None) == DONE
    assert in_process.limits_set == []
    assert not limits.file.exists()


def test_a_new_wish_of_the_owner_is_newer_than_what_somebody_else_set(nvml, limits, in_process):
    in_process.shows(nvml.server(1))
    limits.give(300)
    in_process.forget_limits().set({"*.limit": 400 * WATT})
    limits.give(300)
    assert limits.give(250) == DONE
    assert in_process.limits_set == [(0, 250 * WATT)]
    limits.give(None)
    assert in_process.limits_set[-1] == (0, 400 * WATT)


def test_a_driver_that_was_loaded_anew_is_told_again(nvml, limits, in_process):
    in_process.shows(nvml.server(1))
    limits.give(300)
    in_process.forget_limits()
    assert limits.give(300) == DONE
    assert in_process.limits_set == [(0, 300 * WATT)]


def test_a_card_that_is_lost_hides_no_other(nvml, limits, in_process):
    in_process.shows(nvml.server(2)).lose(0)
    outcome = limits.give(300)
    assert outcome.problems == ("GPU 0: GPU is lost",)
    assert in_process.limits_set == [(1, 300 * WATT)]
    assert kept(limits) == {"GPU-00000001": (650 * WATT, 300 * WATT)}
    assert limits.give(None).problems == ("GPU 0: GPU is lost",)
    assert in_process.limits_set[-1] == (1, 650 * WATT)


def test_without_a_driver_there_is_nothing_to_give_back(nvml, limits, in_process):
    in_process.shows({})
    assert limits.give(None) == DONE
    assert limits.give(300).problems[0].startswith("no NVIDIA driver answers: ")


def test_a_driver_that_fails_at_the_end_costs_nothing_of_what_was_done(
    nvml, limits, in_process, monkeypatch
):
    def gone():
        raise OSError("the library was unloaded")

    in_process.shows(nvml.server(1))
    monkeypatch.setattr(limits.library(), "nvmlShutdown", gone)
    assert limits.give(300) == DONE
    assert in_process.limits_set == [(0, 300 * WATT)]


def test_a_disk_that_is_full_has_no_limit_set(nvml, limits, in_process):
    in_process.shows(nvml.server(1))
    outcome = PowerLimits(limits.file.parent / "gone" / "power-limits.json").give(300)
    assert "cannot be written" in outcome.problems[0]
    assert in_process.limits_set == []


@pytest.mark.parametrize("text", ["", "{", '{"cards": {"GPU": {"former": "x"}}}'])
def test_what_cannot_be_read_is_as_if_it_was_not_there(nvml, limits, in_process, text):
    in_process.shows(nvml.server(1))
    limits.file.write_text(text)
    limits.file.chmod(0o600)
    assert limits.give(None) == DONE
    assert in_process.limits_set == []


@given(st.lists(st.sampled_from((300, 200, None, "others", "anew")), max_size=12))
def test_whatever_happens_the_owners_own_limit_is_back_in_the_end(steps):
    """A model of one card: ours never stays behind, and another's is never overwritten."""
    current, former, held = 650, 650, None
    for step in [*steps, None]:
        if step == "others":
            current = former = 444
        elif step == "anew":
            current = former
        else:
            wanted = wanted_of(current, step, held)
            held = wanted.keep
            current = current if wanted.set_to is None else wanted.set_to
    assert held is None
    assert current == former


def test_a_call_into_the_driver_can_fail_in_its_thread():
    with pytest.raises(ZeroDivisionError):
        in_thread(lambda: 1 // 0, "test").result(5)


def test_a_file_of_somebody_elses_is_told_and_no_limit_is_set(
    nvml, limits, in_process, monkeypatch
):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    in_process.shows(nvml.server(1))
    monkeypatch.setattr("byoi_agent.hardware.power_limit.read_private", refuse)
    monkeypatch.setattr("byoi_agent.hardware.power_limit.write_private", refuse)
    assert limits.give(None) == DONE
    (told,) = limits.give(300).problems
    assert told == f"{limits.file} cannot be written: Permission denied; no limit is set without it"
    assert in_process.limits_set == []
