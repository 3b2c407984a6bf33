from __future__ import annotations

import logging

from byoi_agent.lifecycle.progress import ProgressLog
from byoi_agent.models.wheels import Progress


def test_long_steps_are_told_once_per_tenth(caplog):
    caplog.set_level(logging.INFO)
    log = ProgressLog()
    for done in range(0, 101, 2):
        log(Progress("downloading", done, 100))
    log(Progress("starting"))
    assert len(caplog.records) == 12
