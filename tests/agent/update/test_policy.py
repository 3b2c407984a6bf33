from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.update.policy import (
    Here,
    No,
    Offered,
    Range,
    is_newer,
    judge,
    protocol_number,
    share_of,
    sort_key,
)

OFFERED = Offered("1.1.0", Range(1, 1), Range(1, 3))
HERE = Here("1.0.0", "node-1", protocol=1, state_schema=2, oldest_state_schema=1)


def test_versions_are_in_order():
    told = ["0.9.9", "1.0.0a1", "1.0.0b2", "1.0.0rc1", "1.0.0rc10", "1.0.0", "1.0.1", "1.10.0"]
    assert sorted(set(told), key=sort_key) == told
    assert is_newer("1.0.0", "1.0.0rc1")
    assert not is_newer("1.0.0", "1.0.0")


@pytest.mark.parametrize("word", ["", "1.0", "v1.0.0", "1.0.0-1", "../1.0.0", "1.0.0\n", "9" * 9])
def test_what_is_no_version_is_refused(word):
    with pytest.raises(ValueError, match="is no version"):
        sort_key(word)


def test_protocols_have_numbers():
    assert protocol_number("byoi.v12") == 12
    with pytest.raises(ValueError, match="no protocol of ours"):
        protocol_number("byoi.v1.1")


def test_a_newer_release_that_fits_may_come():
    assert judge(OFFERED, HERE) is None


@pytest.mark.parametrize(
    ("offered", "here", "reason", "newer"),
    [
        ({"version": "1.0.0"}, {}, "1.0.0 is installed", False),
        ({"version": "0.9.0"}, {}, "1.0.0 is installed, which is newer than 0.9.0", False),
        ({"protocol": Range(2, 3)}, {}, "does not speak byoi.v1", True),
        ({"state_schema": Range(3, 4)}, {}, "cannot take over this node's state", True),
        ({"state_schema": Range(1, 1)}, {}, "cannot take over this node's state", True),
        ({"rollout": 0.0}, {}, "has not reached this node yet", True),
        ({}, {"failed": {"1.1.0": "it never served"}}, "taken back here: it never served", True),
    ],
)
def test_what_speaks_against_a_release_is_told(offered, here, reason, newer):
    no = judge(replace(OFFERED, **offered), replace(HERE, **here))
    assert isinstance(no, No)
    assert reason in no.reason
    assert no.is_newer is newer


def test_the_owner_may_name_a_version_that_failed_or_is_not_for_all_yet():
    offered = replace(OFFERED, rollout=0.0)
    assert judge(offered, replace(HERE, failed={"1.1.0": "why"}), is_named=True) is None


def test_the_owner_may_go_back_as_far_as_the_state_can():
    older = Offered("0.9.0", Range(1, 1), Range(1, 1))
    assert judge(older, HERE, is_named=True) is None
    no = judge(older, replace(HERE, oldest_state_schema=2), is_named=True)
    assert isinstance(no, No)
    assert "too old for this node's state" in no.reason


def test_not_even_the_owner_gets_a_version_that_the_console_does_not_understand():
    assert judge(replace(OFFERED, protocol=Range(2, 2)), HERE, is_named=True) is not None


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_share_that_grows_takes_nobody_back(node, first, second):
    small, large = sorted((first, second))
    here = replace(HERE, node_id=node)
    reached = judge(replace(OFFERED, rollout=small), here) is None
    assert not reached or judge(replace(OFFERED, rollout=large), here) is None


def test_each_version_begins_with_other_nodes():
    shares = [share_of(f"node-{number}", "1.1.0") for number in range(2000)]
    assert all(0 <= share < 1 for share in shares)
    assert sum(share < 0.25 for share in shares) == pytest.approx(500, abs=80)
    assert share_of("node-1", "1.1.0") != share_of("node-1", "1.2.0")
