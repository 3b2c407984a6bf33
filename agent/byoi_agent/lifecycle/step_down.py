"""Takes a node's state back to what an older version reads; run by the updater as its account.

`python -m byoi_agent.lifecycle.step_down STATE SCHEMA`
"""

from __future__ import annotations

import sys
from pathlib import Path

from byoi_agent.config.lock import StateLock
from byoi_agent.errors import AgentError
from byoi_agent.lifecycle.state_schema import bring_down


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 with a sentence on standard error."""
    state, schema = Path(arguments[0]), int(arguments[1])
    try:
        with StateLock(state / "byoi.lock"):
            bring_down(state, schema)
    except (AgentError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
