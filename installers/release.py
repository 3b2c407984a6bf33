"""Builds all that is published, into dist/: `make release`.

Two builds of the same commit give the same wheels, packages and bundles. What this machine cannot
build is named at the end, and the exit code is 1 unless --allow-missing says that it may lack.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bundle
import facts
import provenance
import signing
import wheels
from licences import LicenceError
from parts import AFTERWARDS, PARTS, Build, CannotBuildError, Part
from platforms import PYTHONS
from repository import Repository, RepositoryError

DIST = wheels.ROOT / "dist"
DEVELOPMENT_KEYS = wheels.ROOT / "build" / "keys"
SUMS = "SHA256SUMS"


def main() -> int:
    """Build, sign, and tell what is missing."""
    arguments = _parser().parse_args()
    started = time.monotonic()
    try:
        missing = release(arguments)
    except (signing.KeysError, RepositoryError, RefusedError, wheels.BadWheelError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {wheels.version()} in {time.monotonic() - started:.0f} s")
    for line in missing:
        print(f"missing: {line}", file=sys.stderr)
    return int(bool(missing) and not arguments.allow_missing)


class RefusedError(Exception):
    """The release must not be published as it is."""


def release(arguments: argparse.Namespace) -> list[str]:
    """Everything in order; returns a line for each part that could not be built.

    Raises:
        RefusedError: the folder is somebody else's, or the sources are not fit to be signed.
        wheels.BadWheelError: a wheel carries what it must not.
    """
    # A commit that is made meanwhile must not divide the parts.
    os.environ.setdefault("SOURCE_DATE_EPOCH", str(wheels.source_date_epoch()))
    keys = _keys(arguments.keys)
    _check_source(keys)
    into = _emptied(arguments.out.resolve())
    public = signing.public_pem(keys.private(signing.RELEASE).public_key())
    (into / "release.pub").write_bytes(public)
    index = Repository(arguments.repository or into / "repository", keys)
    if not index.exists:
        index.begin()
    index.check_keys(("targets", "snapshot", "timestamp"))
    own = wheels.own_wheels(into, packages=wheels.PRODUCTS)
    _look_into_wheels(own)
    build = Build(into, index.root_file, public.decode(), arguments.url, own)
    with ThreadPoolExecutor(2) as pool:
        told = [
            line
            for parts in (PARTS, AFTERWARDS)
            for line in pool.map(lambda part: _made(part, build), parts)
        ]
    sign(into, keys)
    index.add(facts.release(), _files(into))
    if keys.are_for_development:
        print(f"signed with DEVELOPMENT keys ({keys.folder}): for trying it out, never to publish")
    if arguments.url is None:
        print("no --url: install.sh and the packages do not know where updates come from")
    return [line for line in told if line]


def _check_source(keys: signing.Keys) -> None:
    """One version everywhere, all keys at hand, and for real ones nothing but what is committed."""
    for purpose in (signing.RELEASE, "targets", "snapshot", "timestamp"):
        keys.private(purpose)
    versions = wheels.versions()
    if len(set(versions.values())) > 1:
        told = ", ".join(f"{name} {version}" for name, version in versions.items())
        raise RefusedError(f"the distributions have different versions: {told}")
    if not keys.are_for_development and not facts.is_clean():
        raise RefusedError(
            "the tree has changes that are not committed, and a release is made from a commit: "
            "commit them, or leave --keys out to try"
        )


def _made(part: Part, build: Build) -> str | None:
    """None when it is there or cannot exist for this lock, else a line that says why not."""
    started = time.monotonic()
    try:
        part.make(build)
    except bundle.NothingToBundleError as error:
        print(f"  no {part.name}: {error}", flush=True)
        return None
    except (CannotBuildError, LicenceError) as error:
        return f"{part.name}: {error}"
    print(f"  {part.name} ({time.monotonic() - started:.0f} s)", flush=True)
    return None


def _look_into_wheels(own: list[Path]) -> None:
    """Ours, and what the console needs; what the agent needs is looked into as it is collected."""
    for wheel in own:
        wheels.refuse_bad(wheel)
    with tempfile.TemporaryDirectory() as folder:
        wheels.collect(
            Path(folder), platform="linux-x86_64", pythons=PYTHONS, package="byoi-console"
        )


def sign(into: Path, keys: signing.Keys) -> None:
    """Where the files come from, their checksums, and the signatures of both."""
    key = keys.private(signing.RELEASE)
    subjects = {file.name: _sha256(file) for file in _files(into)}
    said = provenance.of_this_build(subjects, development_keys=keys.are_for_development)
    signed = json.dumps(signing.envelope(key, said), indent=2) + "\n"
    (into / f"byoi-{wheels.version()}.provenance.json").write_text(signed)
    sums = "".join(f"{_sha256(file)}  {file.name}\n" for file in _files(into)).encode()
    (into / SUMS).write_bytes(sums)
    (into / f"{SUMS}.sig").write_bytes(key.sign(sums))
    (into / f"{SUMS}.sshsig").write_text(signing.ssh_signature(key, sums))


def _files(into: Path) -> list[Path]:
    """All that is published beside the checksums and the index."""
    return sorted(
        file for file in into.iterdir() if file.is_file() and not file.name.startswith(SUMS)
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _keys(folders: list[Path] | None) -> signing.Keys:
    """Those of the caller, else ones for development, made once per checkout."""
    if folders:
        return signing.Keys(*folders)
    if not DEVELOPMENT_KEYS.exists():
        signing.make_keys(DEVELOPMENT_KEYS, development=True)
    return signing.Keys(DEVELOPMENT_KEYS)


def _emptied(into: Path) -> Path:
    """Without what an earlier build left; nothing of anybody else's is removed.

    Raises:
        RefusedError: the folder holds what no build of a release made.
    """
    if into != DIST and into.exists() and any(into.iterdir()) and not (into / SUMS).exists():
        raise RefusedError(f"{into} is not empty, and no release was built there; name another")
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    return into


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        *("--out",), type=Path, default=DIST, metavar="FOLDER", help="[default: dist]"
    )
    parser.add_argument(
        "--keys", type=Path, action="append", metavar="FOLDER",
        help="private keys, as `installers/index.py keys` makes them; several times where several "
        "people sign  [default: keys for development, made on the spot in build/keys]",
    )  # fmt: skip
    parser.add_argument(
        "--url", default=os.environ.get("BYOI_RELEASE_URL"),
        help="where the files will lie: written into install.sh, install.ps1 and packages "
        "[BYOI_RELEASE_URL]",
    )  # fmt: skip
    parser.add_argument(
        "--repository", type=Path, metavar="FOLDER",
        help="the published index that the release is added to  [default: a new one, "
        "in repository/ beside the files]",
    )  # fmt: skip
    parser.add_argument(
        "--allow-missing", action="store_true",
        help="exit 0 also where a part could not be built on this machine",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
