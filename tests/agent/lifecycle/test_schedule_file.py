from __future__ import annotations

import pytest

from byoi_agent.config.availability import Schedule, Window
from byoi_agent.errors import ConfigError
from byoi_agent.lifecycle.schedule_file import ScheduleFile

LUNCH = Schedule(windows=(Window(since="12:00", until="13:00"),))


def test_another_schedule_is_written_and_taken_over(tmp_path):
    file, reloads = tmp_path / "config.toml", []
    keeper = ScheduleFile(file, show=lambda: "shown", reload=lambda: reloads.append(1))
    keeper.put(LUNCH)
    assert 'since = "12:00"' in file.read_text()
    assert reloads == [1]
    assert keeper.view == "shown"


def test_a_file_that_cannot_be_written_is_told_with_its_mend(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("byoi_agent.config.edit.rewrite", refuse)
    file, reloads = tmp_path / "config.toml", []
    keeper = ScheduleFile(file, show=lambda: None, reload=lambda: reloads.append(1))
    with pytest.raises(ConfigError, match=r"cannot be written: Permission denied; .*sudo byoi"):
        keeper.put(LUNCH)
    assert reloads == []


def test_a_node_without_a_file_says_so():
    keeper = ScheduleFile(None, show=lambda: None, reload=lambda: None)
    with pytest.raises(ConfigError, match="no configuration file"):
        keeper.put(LUNCH)


def test_a_schedule_that_the_node_refuses_is_taken_out_of_the_file_again(tmp_path):
    def refuse():
        raise ConfigError("an engine's driver is silent")

    file = tmp_path / "config.toml"
    before = '# mine\n[schedule]\nwindows = [{since = "01:00", until = "02:00"}]\n'
    file.write_text(before)
    with pytest.raises(ConfigError, match="an engine's driver is silent"):
        ScheduleFile(file, show=lambda: None, reload=refuse).put(LUNCH)
    assert file.read_text() == before
