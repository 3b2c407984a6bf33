from __future__ import annotations

import pytest

from byoi_agent.cli.config_engines import engine_in_environment, with_engines
from byoi_agent.config.check import Problem


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config.toml"


def test_a_file_that_cannot_be_read_keeps_the_problem_that_was_told(file):
    told = (Problem("cannot be read"),)
    assert with_engines(file, told) == told


def test_problems_come_in_the_order_of_the_lines(file):
    file.write_text('engine = "vllm@1.2.3"\nslotz = 2\n')
    first, second = with_engines(file, (Problem("unknown key 'slotz'", 2),))
    assert first == Problem("engine: this byoi has no vllm 1.2.3; it has 0.32.0", 1)
    assert second.line == 2


@pytest.mark.parametrize("text", ["engine = 3\n", "models = 3\n", "models = [3]\n", ""])
def test_what_is_no_text_or_no_table_is_for_others_to_tell(file, text):
    file.write_text(text)
    assert with_engines(file, ()) == ()


def test_a_variable_that_is_unset_or_means_a_server_is_right():
    assert engine_in_environment({}) == ()
    assert engine_in_environment({"BYOI_ENGINE": "http://127.0.0.1:8000"}) == ()
    (told,) = engine_in_environment({"BYOI_ENGINE": "vllm@"})
    assert "vllm without a version" in told
