from __future__ import annotations

import stat

import pytest

from byoi_agent.bench import kept
from byoi_agent.bench.kept import Kept
from byoi_agent.errors import AgentError
from byoi_wire.offers import Measured


def found(engine="llamacpp 1", at_ms=1, rate=50.0):
    return Measured(
        at_ms=at_ms,
        engine=engine,
        first_token_ms=20.0,
        decode_tokens_per_second=rate,
        knee_concurrency=4,
        knee_tokens_per_second=100.0,
    )


@pytest.fixture
def file(tmp_path):
    return tmp_path / "measured.json"


def test_what_was_measured_is_there_after_a_restart(file):
    Kept(file).keep("smol", found())
    assert Kept(file).all == {("smol", "llamacpp 1"): found()}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_new_measurement_takes_the_place_of_the_old_one_of_that_engine(file):
    known = Kept(file)
    known.keep("smol", found())
    known.keep("smol", found("llamacpp 2"))
    known.keep("smol", found(at_ms=9, rate=60.0))
    assert Kept(file).all == {
        ("smol", "llamacpp 2"): found("llamacpp 2"),
        ("smol", "llamacpp 1"): found(at_ms=9, rate=60.0),
    }


def test_the_oldest_goes_where_there_are_too_many(file, monkeypatch):
    monkeypatch.setattr(kept, "KEPT_LIMIT", 2)
    known = Kept(file)
    for at_ms, name in ((2, "b"), (1, "a"), (3, "c")):
        known.keep(name, found(at_ms=at_ms))
    assert {model for model, _ in Kept(file).all} == {"b", "c"}


@pytest.mark.parametrize("damage", [b"", b"{", b'{"measured": [{"model": 3}]}', b"\xff"])
def test_a_file_that_cannot_be_read_is_set_aside(file, damage, caplog):
    file.write_bytes(damage)
    file.chmod(0o600)
    assert Kept(file).all == {}
    assert (file.parent / "measured.json.unreadable").read_bytes() == damage
    assert "byoi bench" in caplog.text
    Kept(file).keep("smol", found())
    assert Kept(file).all


def test_a_file_that_others_may_read_is_not_believed(file):
    Kept(file).keep("smol", found())
    file.chmod(0o666)
    assert Kept(file).all == {}


def test_one_that_cannot_even_be_set_aside_stops_nobody(file):
    file.mkdir()
    (file.parent / "measured.json.unreadable").write_text("in its way")
    assert Kept(file).all == {}


def test_a_full_disk_is_told_and_the_figures_hold_meanwhile(tmp_path):
    known = Kept(tmp_path / "away" / "measured.json")
    with pytest.raises(AgentError, match="make room"):
        known.keep("smol", found())
    assert ("smol", "llamacpp 1") in known.all
