"""The Helm chart as one file, of the product's version: `python installers/chart.py --out dist`."""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path

import archive
import wheels

CHART = wheels.ROOT / "deploy" / "helm" / "byoi"
NEVER_PACKED = ("__pycache__", "*.swp", "*.tgz", ".DS_Store")


def main() -> None:
    """What a release's build calls; the trusted root is no part of a chart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=wheels.ROOT / "dist")
    parser.add_argument("--root", type=Path, help="not needed")
    parser.add_argument("--index", help="not needed: an image is replaced by a newer one")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(build_chart(wheels.version(), arguments.out))


def build_chart(version: str, into: Path) -> Path:
    """Write `byoi-VERSION.tgz`, whose bytes depend on the chart alone; `helm install` takes it.

    The images that it names by default are those of the same version.
    """
    with tempfile.TemporaryDirectory(prefix="byoi-chart-") as made:
        folder = Path(made) / "byoi"
        shutil.copytree(CHART, folder, ignore=shutil.ignore_patterns(*NEVER_PACKED))
        about = folder / "Chart.yaml"
        about.write_text(
            re.sub(r"(?m)^(version|appVersion): .*", rf"\1: {version}", about.read_text())
        )
        target = into / f"byoi-{version}.tgz"
        return archive.pack(target, folder, top="byoi", epoch=wheels.source_date_epoch())


if __name__ == "__main__":
    main()
