from __future__ import annotations

import pytest

from byoi_agent.config.addresses import without_secrets, without_secrets_in


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://x/v1", "https://x/v1"),
        ("https://jo:pass@x:8443/v1", "https://[hidden]@x:8443/v1"),
        ("https://jo:p@ss@x/v1", "https://[hidden]@x/v1"),
        ("https://token@x", "https://[hidden]@x"),
        ("https://x/v1?securityToken=a&key=b", "https://x/v1?…"),
        ("HTTPS://jo:a@x?key=b#c", "HTTPS://[hidden]@x?…"),
        ("https://x/#word=a", "https://x/#…"),
        ('it is "https://x/?a=b", she said', 'it is "https://x/?…", she said'),
        ("who@x is at /home/jo?", "who@x is at /home/jo?"),
    ],
)
def test_of_an_address_only_what_lets_nobody_in_is_shown(text, shown):
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown


def test_the_same_anywhere_in_a_value():
    value = {"a": ["https://x?key=b", 3, None], "c": {"d": "https://jo:a@x"}}
    shown = {"a": ["https://x?…", 3, None], "c": {"d": "https://[hidden]@x"}}
    assert without_secrets_in(value) == shown
