"""The tower that sees, beside a text model: counted where its shape is told, else left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from byoi_agent.planning.fields import Fields
from byoi_agent.planning.parts import Part, matrix

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHANNELS: Final = 3


def vision_parts(config: Mapping[str, Any], text_hidden: int) -> list[Part]:
    """A vision transformer (Dosovitskiy 2020) and its bridge to the text model; none where none is.

    Towers of other kinds differ by their norms and bridges, which are small beside the rest.
    """
    given = config.get("vision_config")
    fields = Fields(given if isinstance(given, dict) else {})
    if not fields.has("intermediate_size") or not fields.has("num_hidden_layers"):
        return []
    hidden, inner = fields.size("hidden_size"), fields.size("intermediate_size")
    layers = fields.size("num_hidden_layers")
    patch = fields.size("patch_size", default=14)
    places = (fields.size("image_size", default=patch) // patch) ** 2
    one = 4 * (hidden * hidden + hidden) + 2 * hidden * inner + hidden + inner + 4 * hidden
    tower = (
        layers * one + _CHANNELS * patch * patch * hidden + hidden + places * hidden + 2 * hidden
    )
    bridge = [*matrix(hidden, text_hidden, "vision"), Part("vision", 1, hidden)]
    return [Part("vision", 1, tower), *bridge]
