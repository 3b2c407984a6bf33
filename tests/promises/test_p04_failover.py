"""P04: an endpoint with trouble is left, the next one answers, and the client sees one answer."""

from __future__ import annotations

import asyncio
import json


async def test_p04_before_the_first_token_another_node_takes_over(deployment, real):
    """One node's engine fails, in all its ways; the other's, a real one, serves the same model."""
    await deployment.start_console()
    bad = await deployment.start_fake_engine("engine", "--models", real)
    await deployment.start_node("bad", "--engine", bad.ready["url"])
    await deployment.start_node("good")
    for fault in ("status_500", "reset", "error_event_only", "not_json"):
        # More at once than the good node has slots for: the bad one is asked as well.
        answers = await asyncio.gather(
            *(
                deployment.chat(f"[[fault={fault} after=0]] {n}: say hello", max_tokens=4)
                for n in range(6)
            )
        )
        assert all(answer.is_complete and answer.text for answer in answers)
        asked = [json.dumps(one["body"]) for one in await deployment.engine_requests(bad)]
        assert any(fault in body for body in asked)
