from __future__ import annotations

import asyncio
import stat
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from byoi_agent.engine import given as module
from byoi_agent.engine.given import GivenEnvironment
from byoi_agent.engine.runtimes import RuntimeSpec
from byoi_agent.errors import ConfigError

OURS = version("click")


def ensure(python, wanted, distribution="click"):
    spec = RuntimeSpec(distribution, wanted, "")
    return asyncio.run(GivenEnvironment(python, distribution, "a_setting").ensure(spec, print))


def test_an_environment_of_the_version_that_is_meant_is_used_as_it_is():
    python = Path(sys.executable)
    assert ensure(python, OURS) == python
    given = GivenEnvironment(python, "click", "a_setting")
    assert given.folder_of(RuntimeSpec("click", OURS, "")) == python.parent.parent


def test_a_build_of_the_version_is_that_version(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 0.32.0+cu129\n")
    python.chmod(stat.S_IRWXU)
    assert ensure(python, "0.32.0", "vllm") == python


def test_what_cannot_serve_is_told_with_the_setting(tmp_path, monkeypatch):
    python = Path(sys.executable)
    with pytest.raises(ConfigError, match=rf"a_setting: .* has click {OURS}, and .* with 1\.2"):
        ensure(python, "1.2")
    with pytest.raises(ConfigError, match=r"a_setting: .* has no nowhere-known"):
        ensure(python, "1", "nowhere-known")
    with pytest.raises(ConfigError, match=r"a_setting: .* cannot be run: No such file"):
        ensure(tmp_path / "none", "1")
    monkeypatch.setattr(module, "_ASK_SECONDS", 0)
    with pytest.raises(ConfigError, match="does not answer; name a Python interpreter"):
        ensure(python, OURS)
