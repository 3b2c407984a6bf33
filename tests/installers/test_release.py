"""A release is the same bytes wherever and whenever it is built, and says what it lacks."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import parts
import pytest
import release
import sbom
import signing
import wheels

ROOT = Path(__file__).parents[2]


@pytest.fixture
def keys(tmp_path):
    return signing.make_keys(tmp_path / "keys")


@pytest.fixture
def built(tmp_path, keys, monkeypatch):
    """`make release` of small parts, with wheels of nobody."""

    def own_wheels(into, *, packages):
        with zipfile.ZipFile(into / "byoi_wire-0.1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("byoi_wire/__init__.py", "")
        return [into / "byoi_wire-0.1.0-py3-none-any.whl"]

    monkeypatch.setattr(release.wheels, "own_wheels", own_wheels)
    monkeypatch.setattr(release.wheels, "collect", lambda into, **_: None)
    monkeypatch.setattr(release.facts, "is_clean", lambda: True)
    monkeypatch.setattr(release, "AFTERWARDS", ())
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    def built(*made, **options):
        monkeypatch.setattr(
            release, "PARTS", tuple(parts.Part(f"part {at}", make) for at, make in enumerate(made))
        )
        arguments = {
            "out": tmp_path / "dist",
            "keys": [keys.folder],
            "url": "https://files.example/byoi",
            "repository": None,
            "allow_missing": False,
            **options,
        }
        return release.release(argparse.Namespace(**arguments))

    return built


def _make(name):
    return lambda build: (build.into / name).write_text(f"content of {name}")


def test_every_file_is_in_the_checksums_which_are_signed(built, tmp_path, keys):
    assert built(_make("byoi-agent_0.1.0_amd64.deb")) == []

    dist = tmp_path / "dist"
    sums = dict(
        reversed(line.split("  ")) for line in (dist / "SHA256SUMS").read_text().splitlines()
    )
    assert sums == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in dist.iterdir()
        if path.is_file() and not path.name.startswith("SHA256SUMS")
    }
    assert "byoi-0.1.0.provenance.json" in sums
    public = keys.private("release").public_key()
    public.verify((dist / "SHA256SUMS.sig").read_bytes(), (dist / "SHA256SUMS").read_bytes())
    assert (dist / "release.pub").read_bytes() == signing.public_pem(public)


def test_the_provenance_names_what_was_built_and_is_signed(built, tmp_path, keys):
    built(_make("byoi-agent_0.1.0_amd64.deb"))

    envelope = json.loads((tmp_path / "dist" / "byoi-0.1.0.provenance.json").read_text())
    payload = base64.b64decode(envelope["payload"])
    keys.private("release").public_key().verify(
        base64.b64decode(envelope["signatures"][0]["sig"]), signing.pre_authentication(payload)
    )
    statement = json.loads(payload)
    assert [each["name"] for each in statement["subject"]] == [
        "byoi-agent_0.1.0_amd64.deb",
        "byoi_wire-0.1.0-py3-none-any.whl",
        "release.pub",
    ]
    source = statement["predicate"]["buildDefinition"]["externalParameters"]["source"]
    assert source["signedWith"] == "release keys"


def test_a_part_that_cannot_be_built_is_named_and_the_others_are_built(built, tmp_path):
    def cannot(build):
        raise parts.CannotBuildError("needs makensis")

    def nothing(build):
        raise parts.bundle.NothingToBundleError("cryptography has no wheel")

    assert built(cannot, nothing, _make("byoi-agent_0.1.0_arm64.deb")) == ["part 0: needs makensis"]
    assert (tmp_path / "dist" / "byoi-agent_0.1.0_arm64.deb").exists()


@pytest.mark.parametrize(("words", "code"), [([], 1), (["--allow-missing"], 0)])
def test_what_is_missing_decides_the_exit_code(monkeypatch, capsys, tmp_path, words, code):
    monkeypatch.setattr(release, "release", lambda arguments: ["chart: needs helm"])
    monkeypatch.setattr(sys, "argv", ["release.py", "--out", str(tmp_path), *words])

    assert release.main() == code
    assert "missing: chart: needs helm" in capsys.readouterr().err


def test_a_wheel_that_must_not_be_published_stops_the_release(built, monkeypatch):
    monkeypatch.setattr(wheels, "complaints", lambda wheel: ["evil.pth would run"])
    with pytest.raises(wheels.BadWheelError, match="evil"):
        built(_make("byoi-agent_0.1.0_amd64.deb"))


def test_real_keys_sign_only_what_is_committed(built, tmp_path, monkeypatch):
    monkeypatch.setattr(release.facts, "is_clean", lambda: False)
    with pytest.raises(release.RefusedError, match="not committed"):
        built()
    assert not (tmp_path / "dist").exists()


def test_distributions_of_different_versions_are_no_release(built, monkeypatch):
    monkeypatch.setattr(wheels, "versions", lambda: {"wire": "0.1.0", "agent": "0.2.0"})
    with pytest.raises(release.RefusedError, match=r"wire 0\.1\.0, agent 0\.2\.0"):
        built()


def test_a_folder_that_is_somebody_elses_is_not_emptied(built, tmp_path):
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "thesis.tex").write_text("years of work")
    with pytest.raises(release.RefusedError, match="no release was built there"):
        built()
    assert (tmp_path / "dist" / "thesis.tex").exists()


def test_a_second_release_goes_into_the_same_index(built, tmp_path):
    published = tmp_path / "published"
    built(_make("byoi-agent_0.1.0_amd64.deb"), repository=published)
    built(_make("byoi-agent_0.1.0_amd64.deb"), repository=published)

    assert [path.name for path in published.glob("metadata/*.root.json")] == ["1.root.json"]
    assert not (tmp_path / "dist" / "repository").exists()


def test_development_keys_are_loudly_so(built, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(release, "DEVELOPMENT_KEYS", tmp_path / "development")
    built(keys=None)
    built(keys=None)
    assert "DEVELOPMENT keys" in capsys.readouterr().out


def test_the_installer_knows_the_releases_key_and_where_its_files_lie(tmp_path):
    build = parts.Build(tmp_path, tmp_path, "-----BEGIN-----\n", "https://files.example/", [])
    script = "K='@RELEASE_PUBLIC_KEY@' U='@RELEASE_URL@' I='@INDEX_URL@'"

    assert parts.written_in(script, build) == (
        "K='-----BEGIN-----' U='https://files.example/' I='https://files.example/repository'"
    )
    unsaid = parts.Build(tmp_path, tmp_path, "KEY", None, [])
    assert parts.written_in(script, unsaid) == "K='KEY' U='@RELEASE_URL@' I='@INDEX_URL@'"


def _copied(folder: Path) -> Path:
    """The tree as it is, elsewhere, with other times and rights."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            (folder / name).symlink_to((ROOT / name).readlink())
        elif (ROOT / name).is_file():
            shutil.copyfile(ROOT / name, folder / name)
            (folder / name).chmod(0o700 if (ROOT / name).stat().st_mode & 0o100 else 0o600)
    return folder


def _build(tree: Path, into: Path, umask: int, zone: str) -> dict[str, str]:
    """Files by name, each with its hash."""
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": "1700000000",
        "TZ": zone,
        "LC_ALL": "C.UTF-8" if umask else "C",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONHASHSEED": str(umask),
    }
    installers = tree / "installers"
    code = f"""if True:
        import sys; sys.path.insert(0, {str(installers)!r})
        import wheels; from pathlib import Path
        wheels.own_wheels(Path({str(into)!r}), packages=wheels.PRODUCTS)
        wheels.own_sdists(Path({str(into)!r}))
    """
    for words in (
        ("-c", code),
        (installers / "ubuntu" / "build.py", "--out", into, "--pythons", "3.11"),
        (installers / "bundle.py", "--out", into, "--platform", "windows-x86_64"),
    ):
        subprocess.run([sys.executable, *words], cwd=tree, env=environment, umask=umask, check=True)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in into.iterdir()}


@pytest.mark.installer
@pytest.mark.slow
def test_two_builds_elsewhere_and_later_give_the_same_bytes(tmp_path):
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb: apt install dpkg")
    here = _copied(tmp_path / "here")
    trees = (here, shutil.copytree(here, tmp_path / "a" / "longer place", symlinks=True))
    with ThreadPoolExecutor(2) as pool:
        here, there = pool.map(
            _build,
            trees,
            (tmp_path / "one", tmp_path / "two"),
            (0o022, 0o077),
            ("UTC", "Pacific/Kiritimati"),
        )

    assert len(here) == 8
    assert here == there


@pytest.mark.installer
def test_a_source_distribution_builds_the_wheel_again_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    sdists = wheels.own_sdists(tmp_path / "sdists")
    direct = {path.name: path for path in wheels.own_wheels(tmp_path, packages=wheels.PRODUCTS)}
    for sdist in sdists:
        wheels.run_uv(
            *("build", "--wheel", "--quiet", "--no-config", "--python", sys.executable),
            *("--build-constraints", wheels.BUILD_REQUIREMENTS, "--out-dir", tmp_path / "again"),
            sdist,
        )
    again = {path.name: path for path in (tmp_path / "again").glob("*.whl")}

    assert again.keys() == direct.keys()
    for name, path in again.items():
        assert path.read_bytes() == direct[name].read_bytes()


@pytest.mark.installer
@pytest.mark.parametrize("product", sbom.PRODUCTS)
def test_each_products_list_of_parts_is_one_that_cyclonedx_knows(product):
    listed = sbom.build(product)
    sbom.check(listed)

    assert all(each["licenses"][0]["expression"] for each in listed["components"])
    assert all(
        each["externalReferences"][0]["hashes"]
        for each in listed["components"]
        if not each["name"].startswith("byoi")
    )


@pytest.mark.installer
def test_a_bundle_is_installed_without_a_network(tmp_path):
    (bundle,) = [parts.bundle.build(tmp_path, "linux-x86_64")]
    subprocess.run(["tar", "xzf", bundle, "-C", tmp_path], check=True)
    (top,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    python = tmp_path / "environment" / "bin" / "python"
    wheels.run_uv("venv", "--quiet", "--offline", "--no-config", python.parents[1])
    wheels.run_uv(
        *("pip", "install", "--quiet", "--no-config", "--offline", "--no-index", "--no-cache"),
        *("--require-hashes", "--find-links", top / "wheels", "--python", python),
        *("-r", top / "requirements.txt"),
    )
    said = subprocess.run(
        [python.parent / "byoi", "version"], capture_output=True, text=True, check=True
    )

    assert said.stdout.startswith(f"byoi {wheels.version()}")
    assert json.loads((top / "release.json").read_text())["pythons"] == [
        "3.11",
        "3.12",
        "3.13",
        "3.14",
    ]
