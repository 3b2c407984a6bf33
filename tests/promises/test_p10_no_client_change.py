"""P10: applications go on calling `/v1/chat/completions`; nothing of ours is needed to do so."""

from __future__ import annotations

import http.client
import json

PROMPT = [{"role": "user", "content": "What is the capital of France?"}]


def test_p10_plain_http(shared, real):
    connection = http.client.HTTPConnection("127.0.0.1", shared.console_port, timeout=60)
    headers = {
        "Authorization": f"Bearer {shared.api_key}",
        "Content-Type": "application/json",
        "User-Agent": "an application of 2023",
        "OpenAI-Organization": "org-of-long-ago",
    }
    asked = {"model": real, "messages": PROMPT, "temperature": 0, "max_tokens": 16}
    connection.request("POST", "/v1/chat/completions", json.dumps(asked), headers)
    answer = connection.getresponse()
    assert answer.status == 200
    assert "Paris" in json.loads(answer.read())["choices"][0]["message"]["content"]
    connection.request(
        "POST", "/v1/chat/completions", json.dumps({**asked, "stream": True}), headers
    )
    answer = connection.getresponse()
    assert answer.getheader("content-type").startswith("text/event-stream")
    assert answer.read().endswith(b"data: [DONE]\n\n")
    connection.close()
