"""Which of the processes that hold a GPU's memory mean that its owner needs it; pure.

A process that only computes counts from its first byte, whatever its name. What draws counts from
512 MiB on, as games do and desktops do not; where no driver says what it holds (Windows), a game is
told by its full screen instead.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from byoi_agent.availability.readings import ForeignUse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from byoi_agent.hardware.devices import Holder

DRAWS_BYTES: Final = 512 * 1024**2
"""From here on a program that draws is no desktop any more."""

DESKTOP: Final = (
    "cinnamon",
    "cosmic-comp",
    "dwm.exe",
    "explorer.exe",
    "gdm*",
    "gnome-shell",
    "hyprland",
    "kwin*",
    "lightdm*",
    "marco",
    "muffin",
    "mutter*",
    "nvidia-persistenced",
    "nvidia-powerd",
    "picom",
    "plasmashell",
    "searchhost.exe",
    "sddm*",
    "shellexperiencehost.exe",
    "startmenuexperiencehost.exe",
    "sway",
    "systemsettings*",
    "wayfire",
    "weston*",
    "xfwm4",
    "xorg*",
    "xwayland*",
)
"""What always holds memory where there is a screen, and means nothing; in small letters."""


def strangers(
    holders: Iterable[Holder],
    *,
    is_ours: Callable[[int], bool],
    name_of: Callable[[int], str | None],
) -> tuple[ForeignUse, ...]:
    """Those that count, in the order of GPUs and processes."""
    found: list[ForeignUse] = []
    for one in sorted(holders, key=lambda one: (one.gpu, one.pid)):
        if not _is_large_enough(one) or is_ours(one.pid):
            continue
        name = name_of(one.pid) or f"process {one.pid}"
        if not is_desktop(name):
            found.append(ForeignUse(one.gpu, one.pid, name, one.memory_bytes))
    return tuple(found)


def is_desktop(program: str) -> bool:
    """Whether it is a part of the desktop."""
    name = program.casefold()
    return any(fnmatchcase(name, pattern) for pattern in DESKTOP)


def _is_large_enough(one: Holder) -> bool:
    if not one.is_graphical:
        return one.memory_bytes != 0
    return one.memory_bytes is not None and one.memory_bytes >= DRAWS_BYTES
