from __future__ import annotations

import pytest

from byoi_agent.config.check import (
    Problem,
    line_of,
    problems_in,
    problems_in_environment,
    problems_of,
)


def test_a_file_that_run_would_take_has_no_problem():
    assert problems_in('# mine\nengine = "llamacpp"\nslots = 2\n') == ()


def test_every_problem_is_told_with_its_line_and_not_only_the_first():
    text = '# mine\nslotz = 2\ndrain_seconds = -1\n\nlog_level = "loud"\n'
    assert [problem.line for problem in problems_in(text)] == [2, 3, 5]
    told = [problem.text for problem in problems_in(text)]
    assert told[0] == "unknown key 'slotz'; did you mean 'slots'?"
    assert told[1].startswith("drain_seconds: ")
    assert told[2].startswith("log_level: ")


def test_a_table_is_an_unknown_key_at_the_line_that_opens_it():
    assert problems_in("slots = 1\n[engine_options]\na = 1\n")[0].line == 2


def test_what_is_no_toml_is_told_with_its_line():
    (problem,) = problems_in("slots = 1\nqueue = \n")
    assert problem.line == 2
    assert "not valid TOML" in problem.text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("slots = 1", 1),
        ('"slots"=1', 1),
        ("  'slots' = 1", 1),
        ("a = 1\nslots.x = 1", 2),
        ("a = 1\n[[ slots ]]", 2),
        ("slots_more = 1\n# slots = 2", None),
    ],
)
def test_the_line_of_a_key_is_found_however_toml_lets_it_be_written(text, line):
    assert line_of("slots", text) == line


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path):
    assert "No such file" in problems_of(tmp_path / "none.toml")[0].text
    (tmp_path / "latin.toml").write_bytes(b"model = '\xe9'")
    assert problems_of(tmp_path / "latin.toml") == (
        Problem("is not text in UTF-8; save it as UTF-8"),
    )


def test_a_problem_is_told_with_the_place_first(tmp_path):
    assert Problem("is wrong", 3).told(tmp_path / "c.toml") == f"{tmp_path}/c.toml:3: is wrong"
    assert Problem("is wrong").told(tmp_path / "c.toml") == f"{tmp_path}/c.toml: is wrong"


def test_every_variable_that_is_wrong_is_told_and_not_only_the_first():
    told = problems_in_environment({"BYOI_SLOTS": "0", "BYOI_QUEUE": "x", "BYOI_QEUE": "1"})
    assert [text.split(":")[0] for text in told[:2]] == [
        "the variable BYOI_SLOTS",
        "the variable BYOI_QUEUE",
    ]
    assert "did you mean 'BYOI_QUEUE'" in told[2]


def test_true_is_no_number_and_the_first_line_is_found_behind_a_mark():
    assert [problem.line for problem in problems_in("\ufeffslots = true\n")] == [1]
    assert "true and false mean nothing" in problems_in("drain_seconds = true\n")[0].text
