from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.errors import ConfigError
from byoi_agent.models.names import (
    Reference,
    folder_key,
    is_file_name,
    is_inside,
    is_repo,
    model_id,
    quantisation_of,
    reference_of,
    shard_of,
    stem_of,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("o/n", Reference("o/n")),
        ("o/n@v1.0", Reference("o/n", None, "v1.0")),
        ("o/n:Q4_K_M", Reference("o/n", "Q4_K_M")),
        ("o/n:Q4_K_M@refs/pr/1", Reference("o/n", "Q4_K_M", "refs/pr/1")),
        ("n", None),
        ("a/b/c", None),
        ("../n", None),
        ("o/..", None),
        ("o/n--m", None),
        ("o/n@a..b", None),
        ("o/n.git", None),
        ("/o/n", None),
        ("~/n", None),
        ("o/n@", None),
    ],
)
def test_a_model_of_the_hub_is_told_from_anything_else(text, meant):
    assert reference_of(text) == meant
    assert meant is None or str(meant) == text


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a/../b", "a//b", "", ".", "a/.", "a\\b", "C:x", "a\nb", "a\0b", "x\u202e"],
)
def test_a_file_that_leaves_its_folder_is_known(name):
    assert not is_inside(name)
    assert not is_file_name(name)


@pytest.mark.parametrize("name", [".hidden", "a/b/c/d.gguf", "x" * 152, "ä.json", "-rf"])
def test_a_file_inside_may_still_have_a_name_that_is_not_taken(name):
    assert is_inside(name)
    assert not is_file_name(name)


@given(st.text(max_size=40))
def test_a_key_is_one_plain_folder_or_refused(entry):
    try:
        key = folder_key("o/n", COMMIT, "gguf", entry)
    except ConfigError:
        return
    assert "/" not in key
    assert key.startswith("o--n--0123456789ab--")


def test_a_key_of_what_is_no_commit_is_refused():
    with pytest.raises(ConfigError, match="no name of a model"):
        folder_key("o/n", "../../etc", "gguf", "x.gguf")
    assert folder_key("o/n", COMMIT, "safetensors", "config.json").endswith("--safetensors")


@pytest.mark.parametrize(
    ("file", "stem", "quantisation"),
    [
        ("Qwen3-0.6B-Q4_K_M.gguf", "Qwen3-0.6B-Q4_K_M", "Q4_K_M"),
        ("m.q8_0.gguf", "m.q8_0", "Q8_0"),
        ("d/m-UD-IQ2_XXS-00001-of-00002.gguf", "m-UD-IQ2_XXS", "UD-IQ2_XXS"),
        ("m-BF16.gguf", "m-BF16", "BF16"),
        ("gpt-oss-20b-mxfp4.gguf", "gpt-oss-20b-mxfp4", "MXFP4"),
        ("model.gguf", "model", None),
    ],
)
def test_a_files_name_says_how_its_weights_are_packed(file, stem, quantisation):
    assert stem_of(file) == stem
    assert quantisation_of(file) == quantisation


def test_parts_of_a_model_are_counted():
    assert shard_of("m-00002-of-00003.gguf") == (2, 3)
    assert shard_of("m.gguf") is None


def test_what_no_client_could_ask_for_is_refused():
    assert model_id("m-1.5_B") == "m-1.5_B"
    with pytest.raises(ConfigError, match="rename it"):
        model_id("my model")
    assert not is_repo("owner")
