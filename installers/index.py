"""The signed index that nodes update from: keys, releases, rings; `--help` of each says more.

python installers/index.py keys KEYS                        make the keys, once, offline
python installers/index.py init                             begin an index
python installers/index.py add --files dist                 put a release in, offered to nobody
python installers/index.py promote 0.2.0 --ring beta        offer it to the nodes of a ring
python installers/index.py promote 0.2.0 --ring stable --rollout 0.25
python installers/index.py halt --ring stable               nobody else takes it
python installers/index.py refresh                          every day: sign that this is the newest
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import facts
import signing
import wheels
from repository import RINGS, Repository, RepositoryError
from signing import Keys, KeysError

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = wheels.ROOT / "dist" / "repository"
KEYS = wheels.ROOT / "build" / "keys"
ROLES = ("root", "targets", "snapshot", "timestamp")


def _keys(arguments: argparse.Namespace) -> str:
    made = signing.make_keys(arguments.folder)
    return (
        f"{made.folder}: a key each for {', '.join(signing.PURPOSES)}.\n"
        "Keep root.key and release.key offline; docs/releasing.md says how."
    )


def _init(arguments: argparse.Namespace) -> str:
    index = _opened(arguments)
    index.begin(dict(arguments.threshold or ()))
    return f"{arguments.repository}: an empty index; installers carry {index.root_file}"


def _add(arguments: argparse.Namespace) -> str:
    about = facts.release()
    if arguments.version:
        about["version"] = arguments.version
    # 0.2.0 is neither 10.2.0 nor 0.2.0rc1, which may lie beside it.
    named = re.compile(rf"(?<![0-9A-Za-z.]){re.escape(about['version'])}(?![0-9A-Za-z]|\.[0-9])")
    files = sorted(file for file in arguments.files.glob("*") if named.search(file.name))
    kinds = _opened(arguments).add(about, files)
    told = ", ".join(kinds) or "no kind of machine: nothing fits in " + str(arguments.files)
    return f"{about['version']} is in the index for {told}. Offered to nobody yet: promote it"


def _promote(arguments: argparse.Namespace) -> str:
    _opened(arguments).promote(arguments.version, arguments.ring, arguments.rollout)
    return f"{arguments.ring} is at {arguments.version} for {arguments.rollout:.0%} of its nodes"


def _halt(arguments: argparse.Namespace) -> str:
    index = _opened(arguments)
    if (said := index.rings().get(arguments.ring)) is None:
        raise RepositoryError(f"nothing was promoted to {arguments.ring}: there is nothing to halt")
    index.promote(said["version"], arguments.ring, 0.0)
    return (
        f"{arguments.ring} is at {said['version']} for nobody else: nodes that took it keep it; "
        "mend it with a higher version, or promote the one before"
    )


def _withdraw(arguments: argparse.Namespace) -> str:
    _opened(arguments).withdraw(arguments.version)
    return f"{arguments.version} can no longer be fetched"


def _refresh(arguments: argparse.Namespace) -> str:
    return f"signed anew: {', '.join(_opened(arguments).refresh())}"


def _rotate(arguments: argparse.Namespace) -> str:
    new = Keys(*arguments.new_keys)
    _opened(arguments).rotate(arguments.role, new, arguments.threshold)
    places = " and ".join(map(str, arguments.new_keys))
    return f"{arguments.role} signs with the key in {places} from now on"


def _renew(arguments: argparse.Namespace) -> str:
    index = _opened(arguments)
    index.renew_root()
    return f"root is good until {index.expiries()['root']:%Y-%m-%d}"


def _show(arguments: argparse.Namespace) -> str:
    index = _opened(arguments)
    found = {
        "versions": index.versions(),
        "rings": index.rings(),
        "expires": {
            role: until.strftime("%Y-%m-%dT%H:%M:%SZ") for role, until in index.expiries().items()
        },
    }
    return json.dumps(found, indent=2)


def _threshold(text: str) -> tuple[str, int]:
    role, _, number = text.partition("=")
    if role not in ROLES or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not as root=2; roles: {', '.join(ROLES)}")
    return role, int(number)


def _opened(arguments: argparse.Namespace) -> Repository:
    return Repository(arguments.repository, Keys(*arguments.keys or [KEYS]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        *("--repository", "-r"), type=Path, default=REPOSITORY, metavar="FOLDER",
        help="the index  [default: dist/repository]",
    )  # fmt: skip
    common.add_argument(
        *("--keys", "-k"), type=Path, action="append", metavar="FOLDER",
        help="the private keys that the command needs; several times where several people sign  "
        "[default: build/keys]",
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, does: Callable[[argparse.Namespace], str], told: str, *, bare: bool = False
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=told, description=told, parents=[] if bare else [common]
        )
        added.set_defaults(does=does)
        return added

    ring: dict[str, Any] = {"choices": RINGS, "required": True, "help": "whose nodes"}
    command("keys", _keys, "make a folder of keys, one per purpose", bare=True).add_argument(
        "folder", type=Path
    )
    init = command("init", _init, "begin an index; needs all four keys of its roles")
    init.add_argument(
        "--threshold", type=_threshold, action="append", metavar="ROLE=NUMBER",
        help="of how many keys a role takes signatures; several times  [default: 1]",
    )  # fmt: skip
    add = command("add", _add, "put a release in; offered to nobody until it is promoted")
    add.add_argument("version", nargs="?", help="  [default: the tree's]")
    add.add_argument("--files", type=Path, default=wheels.ROOT / "dist", metavar="FOLDER")
    promote = command("promote", _promote, "offer a version to a share of a ring's nodes")
    promote.add_argument("version")
    promote.add_argument("--ring", **ring)
    promote.add_argument(
        "--rollout", type=float, default=1.0, metavar="SHARE",
        help="of its nodes, from 0 to 1; who took part stays in as it grows  [default: 1]",
    )  # fmt: skip
    command("halt", _halt, "offer what a ring is at to nobody else").add_argument("--ring", **ring)
    command("withdraw", _withdraw, "take a version's files out; no ring may be at it").add_argument(
        "version"
    )
    command("refresh", _refresh, "sign anew what expires soon; run it every day")
    rotate = command(
        "rotate",
        _rotate,
        "replace the key of a role; needs the root's present key, for snapshot the timestamp's "
        "too, for targets those of both",
    )
    rotate.add_argument("role", choices=ROLES)
    rotate.add_argument(
        "--new-keys", type=Path, action="append", required=True, metavar="FOLDER",
        help="several times for several keys; who is to stay is named too",
    )  # fmt: skip
    rotate.add_argument(
        "--threshold", type=int, metavar="NUMBER", help="of how many of them  [default: as before]"
    )
    command("renew-root", _renew, "the same keys for another year; needs the root's key")
    command("show", _show, "versions, rings, and until when signatures are good; as JSON")
    return parser


def main() -> int:
    """Do what the command line says; 1 where it cannot be done."""
    arguments = _parser().parse_args()
    try:
        print(arguments.does(arguments))
    except (KeysError, RepositoryError) as error:
        print(f"index: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
