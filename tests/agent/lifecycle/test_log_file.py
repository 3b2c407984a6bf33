from __future__ import annotations

from pathlib import Path

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.lifecycle.log_file import usable_place

USUAL = Path("/state/logs/byoi.log")


def test_a_named_file_that_cannot_be_made_is_refused_before_it_is_needed(tmp_path):
    with pytest.raises(ConfigError, match="there is no folder"):
        usable_place(str(tmp_path / "none" / "byoi.log"), USUAL, {})
    with pytest.raises(ConfigError, match="is a folder"):
        usable_place(str(tmp_path), USUAL, {})
    usual = tmp_path / "logs" / "byoi.log"
    assert usable_place("auto", usual, {}).file == usual
    assert usual.parent.is_dir()
