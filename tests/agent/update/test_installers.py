from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext

import pytest

from byoi_agent.config.installation import Installation
from byoi_agent.update import installers
from byoi_agent.update.installers import KEEPER, Debian, Versions, make_current
from byoi_agent.update.machine import Change
from byoi_agent.update.programs import UpdateFailed
from byoi_agent.update.staging import program_of

CHANGE = Change("1.0.0", "1.1.0")


@pytest.fixture
def versions(tmp_path):
    folder = tmp_path / "update"
    (folder / "downloads").mkdir(parents=True)
    made = Versions(Installation(kind="versions", root=tmp_path / "app"), folder, b"")
    for version in ("0.9.0", "1.0.0", "1.1.0"):
        program = program_of(made.environment(version))
        program.parent.mkdir(parents=True)
        program.touch()
    return made


def test_the_link_names_one_version_or_the_other_at_every_moment(versions, tmp_path):
    for version in ("1.0.0", "1.1.0", "1.1.0"):
        versions.point_at(version, "1.0.0")
        assert (tmp_path / "app/current").readlink().name == version
    assert {each.name for each in (tmp_path / "app").iterdir()} == {"current", "versions"}


def test_a_version_that_is_not_there_is_not_pointed_at(versions):
    with pytest.raises(UpdateFailed, match=r"1\.2\.0 is not in"):
        versions.point_at("1.2.0", "1.0.0")


def test_what_a_person_has_put_in_its_place_is_not_pointed_away_from(versions):
    versions.point_at("0.9.0", "1.0.0")
    with pytest.raises(UpdateFailed, match=r"0\.9\.0 was installed by hand meanwhile"):
        versions.point_at("1.1.0", "1.0.0")
    assert versions.present() == "0.9.0"


@pytest.mark.parametrize("name", ["..", "../../etc", "1.0"])
def test_a_name_that_is_no_version_leads_nowhere(versions, name):
    with pytest.raises(ValueError, match="is no version"):
        versions.environment(name)


def test_the_version_before_stands_by_until_all_is_done(versions, tmp_path):
    versions.keep(CHANGE)
    keeper = tmp_path / "update" / KEEPER
    assert keeper.resolve() == versions.environment("1.0.0")
    (tmp_path / "update/downloads/bundle").touch()
    versions.clear({"1.0.0", "1.1.0"})
    assert not keeper.is_symlink()
    assert not (tmp_path / "update/downloads/bundle").exists()
    kept = {each.name for each in (tmp_path / "app/versions").iterdir()}
    assert kept == {"1.0.0", "1.1.0"}


def test_what_a_person_has_put_in_its_place_is_never_cleared_away(versions):
    assert versions.present() is None
    versions.point_at("0.9.0", "1.0.0")
    assert versions.present() == "0.9.0"
    versions.clear({"1.1.0"})
    assert versions.has("0.9.0")
    assert not versions.has("1.0.0")


def test_without_the_version_before_nothing_is_begun(versions):
    versions.clear({"1.1.0"})
    with pytest.raises(UpdateFailed, match="no way back"):
        versions.keep(CHANGE)


def test_what_starts_is_named_as_the_launcher_of_the_system_reads_it(tmp_path):
    """`launcher.c` and the setup: a folder's name, no path, and the end of the line."""
    make_current(tmp_path, "1.1.0", is_windows=True)
    assert (tmp_path / "current").read_bytes() == b"1.1.0\n"
    (tmp_path / "current").unlink()
    make_current(tmp_path, "1.1.0", is_windows=False)
    assert str((tmp_path / "current").readlink()) == "versions/1.1.0"


@pytest.fixture
def debian(tmp_path, monkeypatch):
    """dpkg's programs, as far as they are asked; `said` is what a package says of itself."""
    calls = []
    said = {"name": "byoi-agent 1.1.0"}

    def run(argv, **_):
        calls.append(list(argv))
        return said["name"]

    monkeypatch.setattr(installers, "run", run)
    monkeypatch.setattr(installers.dpkg_lock, "held", lambda: nullcontext({}))
    prefix = tmp_path / "usr/lib/byoi-agent"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python").symlink_to("/usr/bin/python3")
    (prefix / "code.py").write_text("1.0.0")
    made = Debian(tmp_path / "update", prefix)
    (tmp_path / "update").mkdir()
    made.calls, made.said = calls, said
    return made


def package(tmp_path):
    file = tmp_path / "update" / "fetched.deb"
    file.touch()
    return file


def test_a_package_is_kept_and_given_to_dpkg(debian, tmp_path):
    debian.stage(CHANGE, package(tmp_path))
    assert debian.has("1.1.0")
    debian.point_at("1.1.0", "1.0.0")
    assert debian.calls[-1][0] == "dpkg"
    assert debian.calls[-1][-1].endswith("packages/1.1.0.deb")


@pytest.mark.parametrize("present", ["ii 1.0.0", "ii 1.1.0", "iU 1.0.0", "ii 1.2.0"])
def test_what_apt_installed_while_it_was_waited_for_is_not_replaced(
    debian, tmp_path, monkeypatch, present
):
    debian.stage(CHANGE, package(tmp_path))
    debian.said["name"] = "ii 1.0.0"

    @contextmanager
    def held():
        debian.said["name"] = present
        yield {}

    monkeypatch.setattr(installers.dpkg_lock, "held", held)
    stays = pytest.raises(UpdateFailed, match=r"1\.2\.0 was installed by hand meanwhile")
    with stays if present == "ii 1.2.0" else nullcontext():
        debian.point_at("1.1.0", "1.0.0")
    assert (debian.calls[-1][0] == "dpkg") == (present != "ii 1.2.0")


@pytest.mark.parametrize("said", ["byoi-agent 1.2.0", "openssh-server 1.1.0", ""])
def test_another_package_is_refused(debian, tmp_path, said):
    debian.said["name"] = said
    with pytest.raises(UpdateFailed, match=r"not byoi-agent 1\.1\.0"):
        debian.stage(CHANGE, package(tmp_path))
    assert not debian.has("1.1.0")


@pytest.mark.parametrize(
    ("said", "present"),
    [
        ("ii 1.2.0~rc1", "1.2.0rc1"),
        ("hi 1.2.0", "1.2.0"),
        ("iU 1.1.0", None),
        ("iHR1.1.0", None),
        ("un ", None),
    ],
)
def test_of_a_package_dpkg_knows_which_is_there_whole(debian, said, present):
    debian.said["name"] = said
    assert debian.present() == present


def test_what_dpkg_replaces_stays_as_it_was_beside_it(debian, tmp_path):
    debian.said["name"] = "byoi-agent 1.0.0"
    with pytest.raises(UpdateFailed, match="no way back"):
        debian.keep(CHANGE)
    debian.adopt("1.0.0", package(tmp_path))
    debian.keep(CHANGE)
    code = tmp_path / "usr/lib/byoi-agent/code.py"
    (code.parent / "new").write_text("1.1.0")
    os.replace(code.parent / "new", code)  # as dpkg does  # noqa: PTH105
    keeper = tmp_path / "update" / KEEPER
    assert (keeper / "code.py").read_text() == "1.0.0"
    assert (keeper / "bin/python").readlink().as_posix() == "/usr/bin/python3"
    debian.clear({"1.0.0"})
    assert not keeper.exists()
    assert debian.has("1.0.0")
