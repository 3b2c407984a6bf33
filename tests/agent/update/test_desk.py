from __future__ import annotations

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.update import machine, told
from byoi_agent.update.desk import Desk, Present, Terms, alone
from byoi_agent.update.fetching import Fetcher
from byoi_agent.update.index import IndexTrouble
from byoi_agent.update.programs import UpdateFailed

SOURCE = "as the index is"


@pytest.fixture
def desk(tmp_path, local_index, installer, node, monkeypatch):
    folder = tmp_path / "update"
    (folder / "downloads").mkdir(parents=True)
    monkeypatch.setattr("byoi_agent.update.desk.kind_of_file", lambda _: "linux-x86_64")

    def new(version="1.0.0", source=SOURCE, **facts):
        return Desk(
            kind="versions",
            folder=folder,
            present=Present(version, "node-1", 1, facts.pop("schema", 2), facts.pop("oldest", 1)),
            terms=Terms(
                "stable", local_index.url if source is SOURCE else source, local_index.root
            ),
            installer=installer,
            node=node,
            fetcher=Fetcher(folder / "downloads"),
            wall=lambda: 7.0,
            tell=lambda _: None,
        )

    return new


def test_a_newer_version_is_told_then_installed(desk, local_index, installer, tmp_path):
    local_index.add("1.1.0")
    offered, no = desk().look()
    assert (offered.version, no) == ("1.1.0", None)
    assert told.read(tmp_path / "update").available == "1.1.0"
    assert desk().become("1.1.0").outcome == machine.DONE
    said = told.read(tmp_path / "update")
    assert (said.available, said.underway, said.last.new) == (None, None, "1.1.0")
    assert installer.current == "1.1.0"


def test_what_was_taken_back_is_told_and_waits_for_a_newer_one(desk, local_index, node, tmp_path):
    local_index.add("1.1.0")
    node.works.clear()
    desk().look()
    assert desk().become("1.1.0").outcome == machine.TAKEN_BACK
    _, no = desk().look()
    assert "taken back here: 1.1.0 did not serve" in no.reason
    assert told.read(tmp_path / "update").held == no.reason
    local_index.add("1.1.1")
    assert desk().look()[1] is None


def test_the_owner_goes_back_and_is_not_overruled_by_the_timer(desk, local_index, installer):
    local_index.add("1.1.0")
    desk().look()
    desk().become("1.1.0")
    assert desk("1.1.0").back().outcome == machine.DONE
    assert installer.current == "1.0.0"
    assert "its owner went back" in desk().look()[1].reason
    assert desk().look("1.1.0")[1] is None


def test_a_version_before_that_stumbles_over_a_setting_it_does_not_know_brings_none_down(
    desk, local_index, installer, node
):
    local_index.add("1.1.0")
    desk().look()
    desk().become("1.1.0")
    node.works.remove("1.0.0")
    entry = desk("1.1.0").back()
    assert (entry.outcome, entry.reason) == (machine.TAKEN_BACK, "1.0.0 did not serve")
    assert installer.current == "1.1.0"
    assert node.told[-1] == "start 1.1.0"


def test_going_back_beyond_what_the_state_can_is_refused(desk, local_index):
    local_index.add("1.1.0")
    desk().look()
    desk().become("1.1.0")
    with pytest.raises(UpdateFailed, match="too old for the state"):
        desk("1.1.0", schema=4, oldest=3).back()


def test_without_a_version_before_there_is_no_way_back(desk):
    with pytest.raises(UpdateFailed, match="no version before"):
        desk().back()


def test_an_index_that_is_away_is_told_to_all(desk, tmp_path):
    with pytest.raises(IndexTrouble):
        desk(source=(tmp_path / "nowhere").as_uri()).look()
    assert "lacks a file" in told.read(tmp_path / "update").trouble


def test_without_an_index_it_says_how_to_name_one(desk):
    with pytest.raises(ConfigError, match="byoi update --from"):
        desk(source=None).look()


def test_two_updaters_never_work_at_once(tmp_path):
    with alone(tmp_path), pytest.raises(UpdateFailed, match="another update"), alone(tmp_path):
        pass


def test_nothing_is_resumed_that_is_done(desk):
    assert desk().resume() is None
