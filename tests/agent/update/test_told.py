from __future__ import annotations

import os

import pytest

from byoi_agent.update import told
from byoi_agent.update.told import Entry, Told


@pytest.fixture
def narrow():
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_everybody_on_the_machine_reads_what_root_told(tmp_path, narrow):
    entry = Entry(at=1.0, old="1.0.0", new="1.1.0", outcome="updated")
    said = Told(checked_at=2.0, available="1.2.0", history=(entry,))
    told.write(tmp_path, said)
    assert told.read(tmp_path) == said
    assert said.last == entry
    assert (tmp_path / told.FILE_NAME).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("text", ["", "[]", '{"checked_at": "soon"}'])
def test_what_cannot_be_read_is_not_known(tmp_path, text):
    assert told.read(tmp_path) is None
    (tmp_path / told.FILE_NAME).write_text(text)
    assert told.read(tmp_path) is None


def test_a_word_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    told.write(tmp_path, Told(ring="beta"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "replace", full)
    with pytest.raises(OSError, match="No space"):
        told.write(tmp_path, Told())
    assert told.read(tmp_path).ring == "beta"
    assert [each.name for each in tmp_path.iterdir()] == [told.FILE_NAME]
