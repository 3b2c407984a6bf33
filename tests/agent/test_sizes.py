from __future__ import annotations

import pytest

from byoi_agent.sizes import in_memory, on_disk


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (58, "58 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),  # never "1000.0 kB"
        (48_900_000, "48.9 MB"),
        (1_060_000_000, "1.1 GB"),
        (2.5e12, "2.5 TB"),
        (1e18, "1,000,000.0 TB"),
    ],
)
def test_files_are_counted_in_powers_of_ten(count, told):
    assert on_disk(count) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (1000, "1000 B"),
        (1024, "1.0 KiB"),
        (20 * 2**20, "20.0 MiB"),
        (2**30 - 1, "1.0 GiB"),
        (24 * 2**30, "24.0 GiB"),
        (-3 * 2**40, "-3.0 TiB"),
    ],
)
def test_memory_is_counted_in_powers_of_two(count, told):
    assert in_memory(count) == told
