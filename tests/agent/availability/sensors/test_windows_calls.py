from __future__ import annotations

from byoi_agent.availability.sensors.windows_calls import Sizes


def test_the_structures_are_as_large_as_windows_headers_say():
    assert Sizes() == (8, 12)
