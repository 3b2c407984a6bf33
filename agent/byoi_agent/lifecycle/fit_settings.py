"""Has the file of settings fit an older version, or this one again; run by the updater.

`python -m byoi_agent.lifecycle.fit_settings FILE [SCHEMA]`
"""

from __future__ import annotations

import sys
from pathlib import Path

from byoi_agent.config.files import rewrite
from byoi_agent.config.migrations import SETTINGS_SCHEMA, STEPS, for_older
from byoi_agent.config.toml_file import BYTE_ORDER_MARK, UnfitFile, table_of, text_of
from byoi_agent.errors import AgentError


def fit(file: Path, schema: int = SETTINGS_SCHEMA) -> None:
    """Write the file as settings of that number know it, where that is another text.

    Raises:
        UnfitFile: it cannot be read, or is no TOML; it is as it was.
        OSError: it cannot be written.
    """
    text = text_of(file)
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    table_of(text)
    fitting = mark + for_older(text.removeprefix(mark), schema, STEPS)
    table_of(fitting)
    if fitting.encode() != file.read_bytes():
        rewrite(file, fitting.encode())


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 with a sentence on standard error."""
    file = Path(arguments[0])
    try:
        fit(file, *map(int, arguments[1:]))
    except UnfitFile as unfit:
        sys.stderr.write(f"{file} {unfit}\n")
        return 1
    except (AgentError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
