"""What is imported late comes from a copy, while dpkg replaces the files that this runs from."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def come_from(copy: Path, prefix: Path) -> None:
    """From now on import out of `copy` what would have come out of `prefix`.

    What is imported already stays: it is of the version that began, as is the copy.
    """
    sys.path[:] = _moved(sys.path, prefix, copy)
    for module in list(sys.modules.values()):
        places = getattr(module, "__path__", None)
        if isinstance(places, list):
            places[:] = _moved(places, prefix, copy)
    importlib.invalidate_caches()


def _moved(places: Iterable[str], prefix: Path, copy: Path) -> list[str]:
    return [
        str(copy / Path(place).relative_to(prefix)) if Path(place).is_relative_to(prefix) else place
        for place in places
    ]
