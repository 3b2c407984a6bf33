from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.telemetry.redaction import MASK, redact, redact_value

SECRET = "s3cr3tVALUE0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization=Basic {SECRET}",
        f"key sk-byoi-{SECRET} was used",
        f"token byoi-join-{SECRET} was used",
        f'{{"api_key": "{SECRET}", "a": 1}}',
        f"BYOI_JOIN_TOKEN={SECRET}",
        f"password: {SECRET}",
        f"proxy http://user:{SECRET}@proxy.example:3128 failed",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
        f"proxy http://user:p@{SECRET}@proxy.example:3128 failed",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    ],
)
def test_secrets_are_masked_wherever_they_stand(text):
    clean = redact(text)
    assert SECRET not in clean
    assert MASK in clean


@pytest.mark.parametrize(
    "text",
    ["prompt_tokens: 12", "12 tokens in 3 s", "the token count is 4", "http://127.0.0.1:8700/v1"],
)
def test_ordinary_words_stay(text):
    assert redact(text) == text


def test_a_field_that_is_named_like_a_secret_is_masked_whole():
    assert redact_value("control_token", SECRET) == MASK
    assert redact_value("api_key", SECRET) == MASK
    assert redact_value("x-api-key", SECRET) == MASK
    assert redact_value("headers", {"authorization": SECRET, "n": 1}) == {
        "authorization": MASK,
        "n": 1,
    }
    assert redact_value("lines", [f"Bearer {SECRET}"]) == [f"Bearer {MASK}"]
    assert redact_value("prompt_tokens", 12) == 12
    assert redact_value("token", None) is None


@given(st.text(max_size=200))
def test_redaction_never_fails_and_is_stable(text):
    assert redact(redact(text)) == redact(text)
