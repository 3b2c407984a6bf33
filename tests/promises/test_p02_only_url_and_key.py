"""P02: programs that speak OpenAI work with only the base URL and the key changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

PYTHON = """
import sys, openai
answer = openai.OpenAI().chat.completions.create(
    model=sys.argv[1], temperature=0, max_tokens=16,
    messages=[{"role": "user", "content": "What is the capital of France?"}],
)
print(answer.choices[0].message.content)
"""
JAVASCRIPT = """
import OpenAI from "openai";
const answer = await new OpenAI().chat.completions.create({
  model: process.argv.at(-1), temperature: 0, max_tokens: 16,
  messages: [{ role: "user", content: "What is the capital of France?" }],
});
console.log(answer.choices[0].message.content);
"""


def say(shared, *argv: str) -> str:
    """What a program said that was given URL and key by OpenAI's own variables."""
    own = {"OPENAI_BASE_URL": f"{shared.url}/v1", "OPENAI_API_KEY": shared.api_key}
    done = subprocess.run(
        argv,
        cwd=HERE,  # from where Node finds the SDK
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_p02_python(shared, real):
    assert "Paris" in say(shared, sys.executable, "-c", PYTHON, real)


def test_p02_javascript(shared, real, node):
    argv = (node, "--input-type=module", "--eval", JAVASCRIPT, real)
    assert "Paris" in say(shared, *argv)
