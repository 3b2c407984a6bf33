from __future__ import annotations

from byoi_agent.config.file_locks import lock


def test_one_holds_it_alone_until_its_file_is_closed(tmp_path):
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("r+") as second:
        assert lock(first.fileno())
        assert not lock(second.fileno())
        assert not lock(second.fileno(), is_shared=True)
        first.close()
        assert lock(second.fileno())


def test_several_share_it_and_nobody_has_it_alone_then(tmp_path):
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("r+") as second:
        assert lock(first.fileno(), is_shared=True)
        assert lock(second.fileno(), is_shared=True)
        with (tmp_path / "lock").open("r+") as third:
            assert not lock(third.fileno())


def test_what_is_locked_can_be_read_and_written_by_others(tmp_path):
    with (tmp_path / "lock").open("w") as holder:
        assert lock(holder.fileno())
        (tmp_path / "lock").write_text("word")
        assert (tmp_path / "lock").read_text() == "word"
