from __future__ import annotations

import pytest

from byoi_console.nodes.presence import presence


@pytest.mark.parametrize(
    ("is_live", "is_connected", "has_departed", "since", "expected"),
    [
        (True, True, False, 0.0, "online"),
        (True, True, True, 1000.0, "online"),
        (True, False, False, 5.0, "reconnecting"),
        (False, False, False, 39.9, "reconnecting"),
        (False, False, False, 40.1, "unknown"),
        (True, False, False, 60.0, "unknown"),
        (False, False, True, 1.0, "offline"),
        (False, False, False, None, "offline"),
    ],
)
def test_a_node_s_state_in_one_word(is_live, is_connected, has_departed, since, expected):
    state = presence(
        is_live=is_live,
        is_connected=is_connected,
        has_departed=has_departed,
        seconds_since_seen=since,
        lease_seconds=40.0,
    )
    assert state == expected
