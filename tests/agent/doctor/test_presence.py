from __future__ import annotations

from byoi_agent.doctor import presence
from byoi_agent.doctor.patient import RunningNode, Watch


async def test_a_node_that_heeds_nobody_has_nothing_to_say(well):
    assert await presence.check(well()) == []
    assert await presence.check(well(node=RunningNode("online"))) == []


async def test_a_node_that_sees_nobody_is_told_of_the_helper(well, told):
    watch = Watch((), {"logind": "there is no system bus"}, {"upower": "not there"})
    found = told(await presence.check(well(node=RunningNode("online", watch=watch))))
    assert found["presence"].state == "warn"
    assert "no system bus" in found["presence"].text
    assert "byoi session" in found["presence"].mend
    assert (found["surroundings"].state, "upower" in found["surroundings"].text) == (
        "skipped",
        True,
    )


async def test_one_that_tells_is_enough(well, told):
    watch = Watch(("logind", "helper"), {"mutter": "not there"})
    found = told(await presence.check(well(node=RunningNode("online", watch=watch))))
    assert found.keys() == {"presence"}
    assert found["presence"].state == "ok"
    assert "logind, helper; not by mutter" in found["presence"].text
