"""What a build fetches is what the lock says, from wherever it comes, and fetched once."""

from __future__ import annotations

import hashlib
import http.client

import download
import pytest
from packaging.pylock import PackageWheel

NAME = "nice_thing-1.0-py3-none-any.whl"
DATA = b"a wheel"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def lying(tmp_path):
    """A file that lies somewhere, as a lock names it."""
    (tmp_path / "files").mkdir()

    def lying(data, said=DATA):
        (tmp_path / "files" / NAME).write_bytes(data)
        digest = hashlib.sha256(said).hexdigest()
        return PackageWheel(
            url=(tmp_path / "files" / NAME).as_uri(), hashes={"sha256": digest}, name=NAME
        )

    return lying


def test_a_file_is_fetched_once(lying, tmp_path):
    wheel = lying(DATA)
    assert download.cached(wheel).read_bytes() == DATA
    (tmp_path / "files" / NAME).unlink()
    assert download.cached(wheel).read_bytes() == DATA


def test_other_bytes_than_the_locks_are_refused_and_not_kept(lying):
    wheel = lying(b"something else")
    with pytest.raises(SystemExit, match=r"uv\.lock says"):
        download.cached(wheel)
    assert not download.kept_at(wheel).exists()


def test_a_file_that_nobody_has_is_told_with_every_address(lying, tmp_path):
    wheel = lying(DATA)
    (tmp_path / "files" / NAME).unlink()
    with pytest.raises(SystemExit, match="could not be downloaded"):
        download.cached(wheel)


def test_a_download_that_is_cut_off_is_tried_again(lying, monkeypatch):
    answers = [http.client.IncompleteRead(DATA[:3]), ConnectionResetError(), DATA]

    def read(_address):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(download, "_read", read)
    assert download.cached(lying(DATA)).read_bytes() == DATA


def test_the_callers_own_index_is_asked_first(lying, tmp_path, monkeypatch):
    wheel = lying(b"what lies at the lock's address")
    page = tmp_path / "index" / "nice-thing"
    page.mkdir(parents=True)
    (page / NAME).write_bytes(DATA)
    asked = []
    answers = {
        "https://mirror.example/simple/nice-thing/": f'<a href="../../{NAME}#sha256=x">'.encode(),
        f"https://mirror.example/{NAME}#sha256=x": DATA,
    }

    def read(address):
        asked.append(address)
        return answers[address]

    monkeypatch.setattr(download, "_read", read)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mirror.example/simple")
    assert download.cached(wheel).read_bytes() == DATA
    assert asked == list(answers)
