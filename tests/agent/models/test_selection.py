from __future__ import annotations

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.models.selection import (
    NothingToServe,
    RemoteFile,
    WhichFile,
    index_of,
    narrowed,
    select,
)

REPO = "o/n"


def listed(*names, size=10):
    return [RemoteFile(name, size, "sha256", "0" * 64) for name in names]


def test_safetensors_win_over_everything_else_and_bring_what_belongs_to_them():
    found = select(
        REPO,
        listed(
            *("config.json", "tokenizer.model", "merges.txt", "chat_template.jinja", "vocab.bpe"),
            *("model.safetensors", "consolidated.safetensors", "x.gguf", "pytorch_model.bin"),
            *("modeling.py", ".hidden.json", "sub/config.json", "README.md"),
        ),
    )
    assert found.kind == "safetensors"
    names = {one.name for one in found.side}
    assert names == {"config.json", "tokenizer.model", "merges.txt", "chat_template.jinja"}
    assert [one.name for one in found.weights] == ["model.safetensors"]
    assert found.size_bytes == 50
    assert index_of(found) is None


def test_weights_with_names_of_their_own_are_taken_as_they_are():
    found = select(REPO, listed("config.json", "diffusion.safetensors"))
    assert [one.name for one in found.weights] == ["diffusion.safetensors"]


def test_code_comes_only_where_it_may_run():
    files = listed("config.json", "model.safetensors", "modeling.py")
    assert "modeling.py" not in {one.name for one in select(REPO, files).files}
    assert "modeling.py" in {one.name for one in select(REPO, files, with_code=True).files}


def test_the_index_says_which_weights_belong_together():
    files = listed(
        "config.json", "model.safetensors.index.json", "model-00001-of-00001.safetensors"
    )
    found = select(REPO, [*files, *listed("model.safetensors")])
    assert index_of(found).name == "model.safetensors.index.json"
    only = narrowed(found, {"w": "model.safetensors"})
    assert [one.name for one in only.weights] == ["model.safetensors"]
    with pytest.raises(ConfigError, match=r"names 'gone.safetensors', which"):
        narrowed(found, {"w": "gone.safetensors"})
    with pytest.raises(ConfigError, match="has no weight_map"):
        narrowed(found, None)


def test_a_gguf_in_parts_is_one_model():
    parts = [f"d/m-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    found = select(REPO, listed(*reversed(parts)))
    assert found.entry == parts[0]
    assert [one.name for one in found.weights] == parts
    assert select(REPO, listed(*parts), file=parts[1]).entry == parts[0]
    with pytest.raises(ConfigError, match="does not hold all parts"):
        select(REPO, listed(parts[0]))


def test_a_quantisation_is_found_by_its_name_or_by_the_files_end():
    files = listed("m-Q4_0.gguf", "m-Q8_0.gguf", "small-special.gguf", "big-special.gguf")
    assert select(REPO, files, variant="q8_0").entry == "m-Q8_0.gguf"
    assert select(REPO, files, variant="small-special").entry == "small-special.gguf"
    with pytest.raises(WhichFile, match=r"holds no q2_k; it holds: .*m-Q8_0.gguf") as caught:
        select(REPO, files, variant="Q2_K")
    assert len(caught.value.choices) == 4
    with pytest.raises(WhichFile, match="several models"):
        select(REPO, files, variant="special")
    many = listed(*(f"m{number}-Q8_0.gguf" for number in range(45)))
    with pytest.raises(WhichFile, match="and 5 more"):
        select(REPO, many)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["config.json", "pytorch_model.bin"], "could hold code"),
        (["adapter_config.json", "adapter_model.safetensors"], "is an adapter"),
        (["README.md"], "neither safetensors"),
        (["mmproj-F16.gguf"], "neither safetensors"),
        (["model.safetensors"], "neither safetensors with a config.json"),
    ],
)
def test_what_holds_no_model_says_what_it_holds(names, said):
    with pytest.raises(NothingToServe, match=said):
        select(REPO, listed(*names))
    with pytest.raises(NothingToServe, match="holds no GGUF"):
        select(REPO, listed("config.json", "model.safetensors"), variant="Q4_0")


def test_a_list_that_cannot_be_trusted_is_refused():
    with pytest.raises(ConfigError, match="twice"):
        select(REPO, listed("a.json", "a.json"))
    with pytest.raises(ConfigError, match="would not lie in"):
        select(REPO, listed("../a.json"))
    with pytest.raises(ConfigError, match="whose name is not taken"):
        select(REPO, listed("m ä.gguf"))
    with pytest.raises(ConfigError, match="too large for a model's settings"):
        select(REPO, [*listed("config.json", "model.safetensors"), *listed("a.json", size=10**9)])
    with pytest.raises(ConfigError, match="more than 5000 files"):
        select(REPO, listed("config.json", *(f"w{n}.safetensors" for n in range(5001))))
