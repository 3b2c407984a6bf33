"""Tells the agent that a container image is how it came here; run by the image's own Python."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path


def main() -> None:
    """Write `installation.json` into the environment that runs this."""
    facts = {
        "kind": "container",
        "version": importlib.metadata.version("byoi-agent"),
        "index": None,
        "root": None,
        "service": None,
    }
    (Path(sys.prefix) / "installation.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
