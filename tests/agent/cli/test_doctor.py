from __future__ import annotations

import json

import pytest


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name, folder in (("DATA", "d"), ("CACHE", "c"), ("RUNTIME", "r")):
        monkeypatch.setenv(f"BYOI_{name}_DIR", str(tmp_path / folder))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("home")
def test_a_bare_machine_is_told_what_to_do_next(byoi):
    code, out, _ = byoi("doctor")
    assert code == 0
    assert "byoi enroll --console URL" in out
    assert "to be looked at" in out


@pytest.mark.usefixtures("home")
def test_programs_get_each_finding(byoi):
    code, out, _ = byoi("doctor", "--json")
    checks = json.loads(out)["checks"]
    assert code == 0
    assert {"name", "title", "state", "text", "mend", "can_fix"} <= checks[0].keys()


def test_what_keeps_a_node_from_serving_is_exit_code_1_and_fixed_where_it_can_be(byoi, home):
    (home / "d").mkdir(mode=0o755)
    (home / "d").chmod(0o755)
    code, out, _ = byoi("doctor")
    assert code == 1
    assert "byoi doctor --fix" in out
    code, out, _ = byoi("doctor", "--fix")
    assert code == 0
    assert "taken from others" in out
    assert (home / "d").stat().st_mode & 0o777 == 0o700


def test_a_bundle_is_one_private_file_and_its_place_is_told(byoi, home):
    code, out, _ = byoi("doctor", "--json", "--bundle", "-o", home / "b.tar.gz")
    assert code == 0
    assert json.loads(out)["bundle"] == str(home / "b.tar.gz")
    assert (home / "b.tar.gz").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("home")
def test_a_bundle_that_cannot_be_written_is_a_sentence(byoi):
    code, _, err = byoi("doctor", "--bundle", "-o", "/no/such/folder/b.tar.gz")
    assert code == 78
    assert "/no/such/folder" in err
