"""Builds what macOS is installed with: a Homebrew formula for the release's bundles.

A formula names the hash of each bundle. One that does not lie beside it is built once more, which
gives the same bytes. `--launchd` writes the property lists in `launchd/` anew.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import bundle  # noqa: E402 (a neighbour, found by the line above)
import wheels  # noqa: E402

CHIPS = {"arm": "macos-arm64", "intel": "macos-x86_64"}
"""As Homebrew calls them."""

PROGRAM = Path("/opt/byoi/bin/byoi")
NO_URL = "https://example.invalid"


def formula(hashes: dict[str, str], url: str) -> str:
    """The formula; a chip without a bundle is left out."""
    blocks = []
    for chip, platform in CHIPS.items():
        if platform in hashes:
            name = f"byoi-agent-{wheels.version()}-{platform}.tar.gz"
            lines = f'    url "{url}/{name}"\n    sha256 "{hashes[platform]}"\n'
            blocks.append(f"  on_{chip} do\n{lines}  end\n")
    if len(blocks) == 1:
        chip = "arm64" if CHIPS["arm"] in hashes else "x86_64"
        blocks.append(f"  depends_on arch: :{chip}\n")
    text = (HERE / "byoi.rb.in").read_text(encoding="utf-8")
    return (
        text.replace("@VERSION@", wheels.version())
        .replace("@URL@", url)
        .replace("@BUNDLES@\n", "\n".join(blocks).rstrip("\n") + "\n")
    )


def hashes_of_bundles(out: Path, root: Path | None, index: str | None) -> dict[str, str]:
    """SHA-256 of each bundle that there can be; those that lie in `out` are not built again."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="byoi-macos-") as folder:
        for platform in CHIPS.values():
            built = out / f"byoi-agent-{wheels.version()}-{platform}.tar.gz"
            try:
                if not built.exists():
                    built = bundle.build(Path(folder), platform, root=root, index=index)
            except bundle.NothingToBundleError as error:
                print(f"{platform}: {error}", file=sys.stderr)
            else:
                found[platform] = hashlib.sha256(built.read_bytes()).hexdigest()
    return found


def property_lists() -> dict[str, str]:
    """What lies in `launchd/`: as the agent writes them for an installation below /opt/byoi."""
    from byoi_agent.service import macos, plists  # noqa: PLC0415 the formula needs no agent

    return {
        f"{plists.NODE}.plist": plists.daemon_plist(PROGRAM, macos.PLACES, macos.DAEMON_LOG),
        f"{plists.SESSION}.plist": plists.session_plist(PROGRAM),
        f"{plists.UPDATE}.plist": plists.update_plist(PROGRAM, PROGRAM.parent.parent / "update"),
    }


def main() -> int:
    """Build, or write the property lists."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=wheels.ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--root", type=Path, metavar="FILE", help="the index's root.json")
    parser.add_argument("--index", metavar="URL", help="of the index; the bundles lie beside it")
    parser.add_argument("--launchd", action="store_true", help="write launchd/ anew, nothing else")
    arguments = parser.parse_args()
    if arguments.launchd:
        for name, text in property_lists().items():
            (HERE / "launchd" / name).write_text(text)
        return 0
    hashes = hashes_of_bundles(arguments.out, arguments.root, arguments.index)
    if not hashes:
        return 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    url = NO_URL if arguments.index is None else arguments.index.removesuffix("/repository")
    target = arguments.out / "byoi.rb"
    target.write_text(formula(hashes, url))
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
