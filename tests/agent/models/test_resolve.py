from __future__ import annotations

import json

import pytest

from byoi_agent.errors import ConfigError
from byoi_agent.models import store as module
from byoi_agent.models.catalogue import DEFAULT_MODEL, ModelEntry
from byoi_agent.models.folders import ModelFolder
from byoi_agent.models.resolve import GgufModel, again, resolve
from byoi_agent.models.store import FILES, PARTIAL, Manifest, PulledFile, Store, finish

COMMIT = "c" * 40


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "models")


@pytest.fixture
def put(store):
    """A model as a pull leaves it."""

    def put(repo, files, entry, commit=COMMIT, at=1, **more):
        kind = "gguf" if entry.endswith(".gguf") else "safetensors"
        key = f"{repo.replace('/', '--')}--{commit[:12]}--{at}"
        partial = store.folder / f"{key}.partial"
        for name, raw in files.items():
            path = partial / FILES / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
        rows = [
            PulledFile(name=n, size_bytes=len(r), algorithm="sha256", digest="0", modified_ns=0)
            for n, r in files.items()
        ]
        manifest = Manifest(
            repo=repo,
            commit=commit,
            hub="h",
            kind=kind,
            entry=entry,
            files=rows,
            pulled_at=at,
            **more,
        )
        return finish(partial, store.folder / key, manifest)

    return put


@pytest.fixture
def folder(hubs):
    config = {"architectures": ["X"], "max_position_embeddings": 128}
    return {"config.json": json.dumps(config).encode(), "model.safetensors": hubs.safetensors()}


def test_a_name_may_be_of_the_catalogue_the_store_a_folder_or_a_file(
    hubs, put, store, folder, tmp_path, monkeypatch
):
    assert isinstance(resolve(DEFAULT_MODEL, store), ModelEntry)
    put("owner/Tiny", folder, "config.json")
    put("owner/Tiny-GGUF", {"tiny-Q8_0.gguf": hubs.gguf()}, "tiny-Q8_0.gguf")
    tensors = resolve("owner/Tiny", store)
    assert isinstance(tensors, ModelFolder)
    assert (tensors.id, tensors.context_tokens, tensors.runs_own_code) == ("Tiny", 128, False)
    packed = resolve("owner/Tiny-GGUF", store)
    assert isinstance(packed, GgufModel)
    assert (packed.id, packed.context_tokens, packed.architecture) == ("tiny-Q8_0", 4096, "llama")
    assert resolve("tiny-Q8_0", store) == packed == resolve("OWNER/tiny-gguf:q8_0", store)
    own = tmp_path / "own.gguf"
    own.write_bytes(hubs.gguf(pairs={"llama.context_length": (4, bytes(4))}))
    assert resolve(str(own), store).id == "own"
    assert resolve(str(own), store).context_tokens == 4096
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "Model").mkdir(parents=True)
    for name, raw in folder.items():
        (tmp_path / "own" / "Model" / name).write_bytes(raw)
    assert resolve("own/Model", store).id == "Model"
    monkeypatch.chdir(tmp_path / "own")
    assert resolve("Model", store).id == resolve("./Model", store).id == "Model"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("owner/None", r"owner/None is not here; first: byoi models pull owner/None"),
        ("owner/None:Q4_0", r"first: byoi models pull owner/None:Q4_0"),
        ("/none/at.gguf", "there is no such file"),
        ("~nobody-at-all/x.gguf", "no such user's home"),
        ("/none/at", "there is no such folder"),
        ("m" * 5000, "no model"),
        ("smollm2-135m", "did you mean 'smollm2-135m-instruct'.*byoi models pull OWNER/NAME"),
    ],
)
def test_what_means_nothing_says_what_to_type(store, name, said):
    with pytest.raises(ConfigError, match=said):
        resolve(name, store)


def test_the_newest_revision_is_meant_unless_one_is_named(put, store, folder):
    put("o/n", folder, "config.json", commit="a" * 40, at=1, revision="v1")
    put("o/n", folder, "config.json", commit="b" * 40, at=2)
    assert store.find("o/n").manifest.commit == "b" * 40
    assert store.find("o/n@v1").manifest.commit == "a" * 40
    assert store.find("o/n@aaaaaaa").manifest.commit == "a" * 40
    assert store.find("o/n@aaa") is None
    assert len(store.find_all("o/n")) == 2
    assert len(store.find_all("o/n@v1")) == 1


def test_a_model_in_parts_is_named_by_its_first(hubs, store, tmp_path):
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    parts[0].write_bytes(hubs.gguf())
    with pytest.raises(ConfigError, match=r"00002-of-00002.gguf cannot be read"):
        resolve(str(parts[0]), store)
    parts[1].write_bytes(hubs.gguf())
    found = resolve(str(parts[0]), store)
    assert (found.id, found.weight_bytes) == ("m", 2 * len(hubs.gguf()))
    with pytest.raises(ConfigError, match="is part 2 of 2; name the first"):
        resolve(str(parts[1]), store)


def test_code_runs_only_of_the_commit_that_the_owner_named(put, store, folder):
    config = {**json.loads(folder["config.json"]), "auto_map": {"AutoModel": "modeling.X"}}
    files = {**folder, "config.json": json.dumps(config).encode(), "modeling.py": b""}
    put("o/n", files, "config.json")
    with pytest.raises(ConfigError, match=r"modeling.py could hold code|asks for code"):
        resolve("o/n", store)
    with pytest.raises(ConfigError, match=r"modeling.py could hold code|asks for code"):
        resolve("o/n", store, [f"o/n@{'d' * 40}"])
    assert resolve("o/n", store, [f"o/n@{COMMIT}"]).runs_own_code


def test_a_model_is_looked_at_again_before_each_load(hubs, put, store, folder, tmp_path):
    found = put("o/n", folder, "config.json")
    model = resolve("o/n", store)
    again(model)
    (found.path / "late.bin").touch()
    with pytest.raises(ConfigError, match="could hold code"):
        again(model)
    own = tmp_path / "own.gguf"
    own.write_bytes(hubs.gguf())
    model = resolve(str(own), store)
    own.write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match="no sound GGUF"):
        again(model)
    assert isinstance(model, GgufModel)


def test_a_model_that_is_chosen_is_kept_on_the_disk_and_counts_as_used(put, store, folder):
    found = put("o/n", folder, "config.json", at=7)
    model = resolve("o/n", store)
    assert store.is_in_use(found)
    before = store.find("o/n").used_at
    model.use.load()
    assert store.find("o/n").used_at >= before > 7
    del model
    assert not store.is_in_use(found)


@pytest.mark.parametrize("moment", ["is sized", "was sized"])
def test_a_pull_that_ends_while_room_is_reckoned_counts_once(
    put, store, folder, monkeypatch, moment
):
    found = put("o/n", folder, "config.json")
    partial = found.folder.with_name(found.folder.name + PARTIAL)
    found.folder.rename(partial)
    assert [one.key for one in store.kept(frozenset())] == [partial.name]
    place, name = (module, "bytes_in") if moment == "is sized" else (store, "all")
    look = getattr(place, name)

    def ended(*what):
        partial.rename(found.folder)
        return look(*what)

    monkeypatch.setattr(place, name, ended)
    assert [one.key for one in store.kept(frozenset())] == [found.key]


def test_what_is_no_whole_model_is_no_model(put, store, folder):
    found = put("o/n", folder, "config.json")
    manifest = found.folder / "manifest.json"
    whole = manifest.read_text()
    for broken in ("{", whole.replace('"o/n"', '"../n"'), whole.replace("config.json", "../x")):
        manifest.write_text(broken)
        assert store.all() == []
    manifest.write_text(whole)
    store.pin(store.find("o/n"), is_pinned=True)
    assert store.find("o/n").manifest.is_pinned
    assert [one.is_protected for one in store.kept(frozenset())] == [True]
    assert store.by_key("none") is None
