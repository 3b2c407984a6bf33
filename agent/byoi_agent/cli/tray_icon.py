"""The tray icon on this desktop: the only file that knows pystray and Pillow."""

from __future__ import annotations

import importlib.util
import threading
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.errors import AgentError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoi_agent.cli.tray_face import Action, Entry, Face, Look

_SIZE: Final = 64
_COLOURS: Final[dict[Look, str]] = {
    "serving": "#1a7f37",
    "paused": "#bf8700",
    "away": "#0969da",
    "trouble": "#cf222e",
    "gone": "#8c959f",
}


class NoDesktop(AgentError):
    """There is nowhere to show an icon."""

    exit_code = 69


class TrayIcon:
    """Sole owner of the icon; `run` blocks, and `show` may be called from any thread."""

    def __init__(self, name: str, face: Face, choose: Callable[[Action], None]) -> None:
        self._pystray, self._drawing = _libraries()
        self._choose = choose
        self._face = face
        self._icon = self._pystray.Icon(
            name, self._picture(face.look), face.title, self._pystray.Menu(self._items)
        )
        self._is_over = threading.Event()

    def run(self, follow: Callable[[threading.Event], None]) -> None:
        """Show it until `stop`; `follow` runs beside it in a thread, until its event is set."""

        def shown(icon: Any) -> None:  # noqa: ANN401 pystray has no types
            icon.visible = True
            follow(self._is_over)

        try:
            self._icon.run(setup=shown)
        finally:
            self._is_over.set()

    def show(self, face: Face) -> None:
        """Another face from now on; the same again changes nothing."""
        if face == self._face:
            return
        before, self._face = self._face, face
        if face.look != before.look:
            self._icon.icon = self._picture(face.look)
        self._icon.title = face.title
        self._icon.update_menu()

    def stop(self) -> None:
        """Take it away."""
        self._is_over.set()
        self._icon.stop()

    def _items(self) -> list[Any]:
        return [self._item(entry) for entry in self._face.menu]

    def _item(self, entry: Entry | None) -> Any:  # noqa: ANN401
        if entry is None:
            return self._pystray.Menu.SEPARATOR
        action = entry.action
        return self._pystray.MenuItem(
            entry.text,
            lambda: None if action is None else self._choose(action),
            checked=None if entry.is_checked is None else lambda _: bool(entry.is_checked),
            radio=entry.is_checked is not None,
            default=entry.is_default,
            enabled=action is not None,
        )

    def _picture(self, look: Look) -> Any:  # noqa: ANN401
        """A disc, told apart by its form as well: a bar pauses, a ring is away, a cross is gone."""
        image_of, draw_on = self._drawing
        image = image_of.new("RGBA", (_SIZE, _SIZE), (0, 0, 0, 0))
        draw = draw_on.Draw(image)
        colour = _COLOURS[look]
        draw.ellipse((2, 2, _SIZE - 3, _SIZE - 3), fill=colour)
        if look == "paused":
            draw.rectangle((20, 18, 28, 45), fill="white")
            draw.rectangle((36, 18, 44, 45), fill="white")
        elif look == "away":
            draw.ellipse((16, 16, 47, 47), fill="white")
        elif look == "trouble":
            draw.rectangle((28, 14, 36, 38), fill="white")
            draw.rectangle((28, 43, 36, 50), fill="white")
        elif look == "gone":
            draw.line((20, 20, 44, 44), fill="white", width=7)
            draw.line((20, 44, 44, 20), fill="white", width=7)
        else:
            draw.polygon(((26, 18), (26, 46), (48, 32)), fill="white")
        return image


def _libraries() -> tuple[Any, tuple[Any, Any]]:
    """pystray, and of Pillow what draws.

    Raises:
        ConfigError: they are not installed.
        NoDesktop: they find no desktop to show an icon on.
    """
    for name in ("pystray", "PIL"):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                "the tray icon needs more than was installed; run: pip install 'byoi-agent[tray]'"
            )
    try:
        import pystray  # noqa: PLC0415 it looks for a desktop while it is imported
        from PIL import Image, ImageDraw  # noqa: PLC0415
    except Exception as error:
        raise NoDesktop(
            "there is no desktop here to show an icon on; type this in a session of one, "
            "or use: byoi status --watch"
        ) from error
    return pystray, (Image, ImageDraw)
