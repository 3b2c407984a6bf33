"""Steps that are carried out."""

from __future__ import annotations

from pathlib import Path

import pytest

from byoi_agent.service.doing import carry_out, in_words, output_of
from byoi_agent.service.launcher import Call, Link, Remove, Run, ServiceError, WriteFile


def told_of(*steps):
    told = []
    carry_out(steps, lambda step: told.append(in_words(step)))
    return told


def test_a_file_is_written_with_its_rights_once(tmp_path):
    step = WriteFile(tmp_path / "below" / "unit", "text", 0o640)
    assert told_of(step) == [f"write {step.path}"]
    assert step.path.stat().st_mode & 0o777 == 0o640
    assert told_of(step) == []


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path):
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "unit").symlink_to(other)
    told_of(WriteFile(tmp_path / "unit", "text"))
    assert other.read_text() == "mine"
    assert not (tmp_path / "unit").is_symlink()


def test_a_link_is_turned_but_a_file_of_somebody_else_is_left(tmp_path):
    link = Link(tmp_path / "byoi", tmp_path / "new")
    link.path.symlink_to(tmp_path / "old")
    assert told_of(link) == [f"link {link.path} to {link.target}"]
    assert told_of(link) == []
    link.path.unlink()
    link.path.write_text("somebody's own")
    with pytest.raises(ServiceError, match="move it away"):
        carry_out([link])


def test_what_is_to_go_goes_and_what_is_not_there_is_not_told(tmp_path):
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert told_of(Remove(tmp_path / "link"), Remove(tmp_path / "none")) == [
        f"remove {tmp_path / 'link'}"
    ]
    assert (tmp_path / "folder").is_dir()
    assert told_of(Remove(tmp_path / "folder")) == [f"remove {tmp_path / 'folder'}"]


def test_a_program_that_fails_ends_it_with_what_it_said_and_the_mend(programs, tmp_path):
    programs.stand_in("launchctl", "echo 'Input/output error' >&2; exit 5")
    after = tmp_path / "after"
    with pytest.raises(ServiceError, match=r"launchctl x failed: Input/output error; try again"):
        carry_out([Run(("launchctl", "x"), "try again"), WriteFile(after, "")])
    assert not after.exists()
    assert told_of(Run(("launchctl", "x"), "", may_fail=True)) == []


def test_a_program_that_is_not_here_is_named():
    with pytest.raises(ServiceError, match="there is no program no-such-program here"):
        output_of(("no-such-program",))


def test_a_disk_that_refuses_is_told_in_a_sentence():
    with pytest.raises(ServiceError, match=r"cannot write /proc/none/unit: "):
        carry_out([WriteFile(Path("/proc/none/unit"), "")])


def test_what_no_program_does_is_done_and_told():
    done = []
    assert told_of(Call("write the word", lambda: done.append(1))) == ["write the word"]
    assert done == [1]
