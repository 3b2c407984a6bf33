from __future__ import annotations

import pynvml
import pytest

from byoi_agent.hardware.nvml_words import is_absence, mend_of, throttled_by, words_of


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0, ()),
        (0x1, ("idle",)),
        (0x4 | 0x20, ("power limit", "temperature (driver)")),
        (0x8 | 0x40, ("hardware slowdown", "temperature (hardware)")),
        (0x80, ("power brake",)),
        (0x10000 | 0x4, ("power limit", "reason 0x10000")),
    ],
)
def test_reasons_are_told_in_words(bits, words):
    assert throttled_by(bits) == words


def test_every_reason_that_the_binding_knows_has_a_word():
    assert not any("0x" in word for word in throttled_by(pynvml.nvmlClocksThrottleReasonAll))


def test_an_error_without_a_mend_of_its_own_gets_one_all_the_same():
    assert "restart" in mend_of(pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN))
    assert words_of(pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)) == "Unknown Error"


def test_only_a_missing_driver_is_an_absence():
    absent = [
        name
        for name in dir(pynvml)
        if name.startswith("NVMLError_") and is_absence(getattr(pynvml, name)())
    ]
    assert absent == ["NVMLError_DriverNotLoaded", "NVMLError_LibraryNotFound"]
