from __future__ import annotations

from byoi_agent.planning.families import ALWAYS, FAMILIES, NEVER, Flag
from byoi_agent.planning.fields import Fields


def test_a_flag_is_always_never_or_as_the_config_says():
    fields = Fields({"use_bias": True})
    assert ALWAYS.read(fields)
    assert not NEVER.read(fields)
    assert Flag(("use_bias",)).read(fields)
    assert Flag(("other",), default=True).read(fields)


def test_every_family_has_a_name_of_the_hub_s():
    assert len(FAMILIES) > 55
    assert all(name == name.lower() for name in FAMILIES)
