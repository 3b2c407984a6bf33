"""Templates: one environment, which escapes everything, and what every page is framed with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from byoi_agent.control.dashboard import words
from byoi_agent.control.dashboard.pictures import engine_kind, joules_of, link_kind, switch_of
from byoi_agent.control.dashboard.static import static_url

if TYPE_CHECKING:
    from byoi_agent.control.dashboard.pictures import Switch
    from byoi_agent.control.schema import StatusReport

_TEMPLATES: Final = Path(__file__).parent / "templates"
_FILTERS: Final = (
    words.size,
    words.number,
    words.seconds,
    words.span,
    words.iso,
    words.clock_time,
    words.money,
    words.energy,
    engine_kind,
    link_kind,
    joules_of,
)


@dataclass(frozen=True)
class Frame:
    """What stands around each page.

    `entries` are the pages there are, each its label and path; `csrf` is what a form of this
    session carries.
    """

    path: str
    csrf: str
    entries: tuple[tuple[str, str], ...]
    report: StatusReport

    @property
    def switch(self) -> Switch:
        """The node's state, which every page shows."""
        return switch_of(self.report)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates; a name that a page did not give is an error, not an empty place."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update({one.__name__: one for one in _FILTERS})
    made.globals.update(static=static_url, percent=words.percent)
    return made


def render(template: str, **values: Any) -> str:  # noqa: ANN401 a template takes anything
    """A page, or a part of one, as HTML."""
    return environment().get_template(template).render(values)


def part(template: str, name: str, *values: Any, **named: Any) -> str:  # noqa: ANN401 as above
    """One part of a page by its macro, for those who replace it alone."""
    module: Any = environment().get_template(template).module
    return str(getattr(module, name)(*values, **named)).strip()
