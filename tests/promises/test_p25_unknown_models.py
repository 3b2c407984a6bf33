"""P25: a stale or unknown model id gets an error that names the catalogue and near matches."""

from __future__ import annotations

import openai
import pytest


def test_p25_the_error_helps(client, real):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(
            model="SmolLM2-135M", messages=[{"role": "user", "content": "Hello"}]
        )
    assert refused.value.code == "model_not_found"
    assert f"Did you mean `{real}`?" in refused.value.message
    assert "/v1/models" in refused.value.message
