from __future__ import annotations

from dataclasses import replace

import pytest

from byoi_agent.engine.view import EngineView
from byoi_agent.link.view import LinkView


def test_a_ready_engine_with_a_link_serves(ready_view):
    assert ready_view.is_serving


@pytest.mark.parametrize(
    "change",
    [
        {"engine": None},
        {"engine": EngineView("backing_off", "llamacpp")},
        {"link": LinkView("waiting")},
        {"is_draining": True},
    ],
)
def test_without_engine_or_link_or_while_draining_it_does_not(ready_view, change):
    assert not replace(ready_view, **change).is_serving
