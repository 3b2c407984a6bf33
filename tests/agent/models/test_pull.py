from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import shutil
import threading
from types import SimpleNamespace

import pytest

from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models import pull as module
from byoi_agent.models.hub_client import open_hub
from byoi_agent.models.hub_errors import HubRefused, HubUnreachable
from byoi_agent.models.names import reference_of
from byoi_agent.models.pull import Terms, pull
from byoi_agent.models.selection import NothingToServe, WhichFile
from byoi_agent.models.store import FILES, ModelInUse, Store
from byoi_agent.models.transfer import DiskFull, Patience, WrongContent

REPO = "owner/Tiny-Model"
BIG = 1_000_000
CONFIG = json.dumps({"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 4096})


@pytest.fixture
def model(hubs):
    """A repository as they are: weights in two forms, and what belongs to them."""
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    index["weight_map"]["b"] = "model-00002-of-00002.safetensors"
    return {
        ".gitattributes": b"*.bin lfs",
        "README.md": b"# Tiny",
        "config.json": CONFIG.encode(),
        "model-00001-of-00002.safetensors": hubs.safetensors(BIG, "a"),
        "model-00002-of-00002.safetensors": hubs.safetensors(1000, "b"),
        "consolidated.safetensors": hubs.safetensors(10),
        "model.safetensors.index.json": json.dumps(index).encode(),
        "pytorch_model.bin": b"pickle",
        "modeling_tiny.py": b"print()",
        "tokenizer.json": b"{}",
        "onnx/model.onnx": b"x",
    }


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "models")


@pytest.fixture
def ask(hub, store, heard, monkeypatch):
    """Pull from the hub that the test runs, without patience."""
    monkeypatch.setattr("byoi_agent.models.hub_client.constants.HF_HUB_OFFLINE", False)

    async def ask(name=REPO, *, file=None, is_pinned=False, **terms):
        quick = Patience(
            # Only where a hub falls silent: a slow machine does so as well.
            stall_seconds=0.3 if falls_silent(hub) else 60.0,
            attempts=4,
            base_seconds=0.001,
            longest_seconds=0.01,
        )
        held = Terms(**{"endpoint": hub.url, "margin_bytes": 0, "patience": quick, **terms})
        return await pull(
            reference_of(name), store, held, heard.append, file=file, is_pinned=is_pinned
        )

    return ask


def falls_silent(hub):
    return any(fault.startswith("stall") for faults in hub.faults.values() for fault in faults)


def assert_nothing_counts_as_here(store):
    assert store.all() == []


def weights_asked(hub):
    return [
        file for kind, file, *_ in hub.asked if file.endswith((".safetensors", ".gguf", ".bin"))
    ]


async def test_proving_what_came_is_told_like_its_coming(hub, model, ask, heard, monkeypatch):
    monkeypatch.setattr(module, "_REPORT_SECONDS", 0.0)
    monkeypatch.setattr("byoi_agent.models.digests._READ_BYTES", BIG // 4)
    hub.add(REPO, model)
    await ask()
    told = [(one.phase, one.done_bytes, one.total_bytes) for one in heard if one.total_bytes]
    proving = [one for one in told if one[0] == f"proving {REPO}"]
    assert len(proving) >= 2  # what is proven while others come is not told
    assert [one[1] for one in proving] == sorted(one[1] for one in proving)
    assert proving[-1][1] == proving[-1][2] == told[-len(proving) - 1][2]
    assert told.index(proving[0]) > told.index((f"downloading {REPO}", *proving[-1][1:]))


async def test_a_pull_brings_what_is_needed_pinned_to_a_commit_and_nothing_else(
    hub, hubs, ask, store, model, heard
):
    hub.add(REPO, model)
    outcome = await ask()
    (found,) = store.all()
    assert found.key == outcome.pulled.key
    assert found.name == REPO
    assert found.id == "Tiny-Model"
    assert found.manifest.commit == hubs.COMMIT
    here = {path.name: path.read_bytes() for path in found.path.iterdir()}
    wanted = {"config.json", "tokenizer.json", "model.safetensors.index.json"}
    wanted |= {f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
    assert here == {name: model[name] for name in wanted}
    assert heard[-2].done_bytes == heard[-2].total_bytes == found.size_bytes
    assert (await ask()).was_here
    hub.repos[REPO].token = "unused"
    assert not list(store.folder.glob("*.partial"))


@pytest.mark.parametrize(
    "fault",
    [
        *("break:0", "break:300000", "stall:70000", "500", "503", "wait:0", "longer:10"),
        *("shorter:10", "corrupt", "says:5", "403", "408"),
    ],
)
async def test_whatever_the_hub_does_once_the_right_bytes_arrive(hub, ask, model, fault):
    hub.add(REPO, model)
    hub.faults["model-00001-of-00002.safetensors"].append(fault)
    found = (await ask()).pulled
    name = "model-00001-of-00002.safetensors"
    assert (found.path / name).read_bytes() == model[name]


@pytest.mark.parametrize("fault", ["whole", "astray", "416", "break:1000"])
async def test_what_comes_after_an_interruption_is_held_against_what_was_asked(
    hub, ask, model, fault, caplog
):
    hub.add(REPO, model)
    name = "model-00001-of-00002.safetensors"
    hub.faults[name].extend(["break:400000", fault])
    found = (await ask()).pulled
    assert (found.path / name).read_bytes() == model[name]
    ranges = [asked for kind, file, asked, _ in hub.asked if kind == "cdn" and file == name]
    assert ranges[0] is None
    assert ranges[1].startswith("bytes=")
    assert "a file came damaged" not in caplog.text  # nothing wrong was ever written


async def test_an_interrupted_pull_goes_on_where_it_was(hub, ask, store, model):
    hub.add(REPO, model)
    name = "model-00001-of-00002.safetensors"
    hub.faults[name].extend(["break:600000", *["500"] * 4])
    with pytest.raises(HubUnreachable, match=r"4 times in a row .*same command goes on"):
        await ask()
    assert_nothing_counts_as_here(store)
    hub.bytes_sent = 0
    found = (await ask()).pulled
    assert (found.path / name).read_bytes() == model[name]
    assert hub.bytes_sent < 0.5 * BIG


@pytest.mark.parametrize("fault", ["longer:10", "shorter:10", "corrupt", "says:5"])
async def test_what_lies_again_and_again_is_refused_and_never_counts_as_here(
    hub, ask, store, model, fault
):
    hub.add(REPO, model)
    hub.faults["model-00002-of-00002.safetensors"].extend([fault] * 20)
    if fault == "longer:10":  # what is beyond the listed length is left out: the rest is right
        assert (await ask()).pulled.size_bytes
        return
    with pytest.raises((WrongContent, HubUnreachable), match="model-00002"):
        await ask()
    assert_nothing_counts_as_here(store)


async def test_a_list_that_lies_about_a_digest_is_found_out(hub, ask, store, model):
    hub.add(REPO, model, listed={"tokenizer.json": {"blobId": "b" * 40}})
    with pytest.raises(WrongContent, match="its git-sha1 differs"):
        await ask()
    assert_nothing_counts_as_here(store)
    assert weights_asked(hub) == []


async def test_a_hub_that_does_not_answer_is_said(ask, hub, model):
    hub.add(REPO, model)
    hub.faults[f"list:{REPO}"].extend(["500", "500"])
    assert (await ask()).pulled
    with pytest.raises(HubUnreachable, match="does not answer"):
        await ask(endpoint="http://127.0.0.1:1")
    hub.faults[f"list:{REPO}"].extend(["body:[]"] * 4)
    with pytest.raises(HubUnreachable, match="as a hub does"):
        await ask()
    hub.faults[f"list:{REPO}"].extend(["body:<html>"] * 4)
    with pytest.raises(HubUnreachable, match="no JSON"):
        await ask()


async def test_a_file_that_disappears_is_said(hub, ask, model):
    hub.add(REPO, model)
    hub.faults["tokenizer.json"].append("gone")
    with pytest.raises(HubRefused, match=r"tokenizer.json is not in owner/Tiny-Model any more"):
        await ask()


async def test_a_revision_that_moves_meanwhile_changes_nothing(hub, hubs, ask, model, monkeypatch):
    repo = hub.add(REPO, model)
    moved = {**model, "model-00002-of-00002.safetensors": hubs.safetensors(2000, "b")}
    repo.files["b" * 40] = moved
    selected = module.select

    def select_and_move(*args, **kwargs):
        repo.commits["main"] = "b" * 40
        return selected(*args, **kwargs)

    monkeypatch.setattr(module, "select", select_and_move)
    first = (await ask()).pulled
    assert first.manifest.commit == hubs.COMMIT
    assert (first.path / "model-00002-of-00002.safetensors").stat().st_size < 2000
    second = (await ask()).pulled
    assert second.manifest.commit == "b" * 40
    again = (await ask(f"{REPO}@{hubs.COMMIT}")).pulled
    assert again.key == first.key


async def test_the_token_goes_to_the_hub_and_to_nobody_else(hub, ask, model, monkeypatch):
    hub.add(REPO, model, gated=True)
    with pytest.raises(
        HubRefused, match=r"accept them on http.*owner/Tiny-Model, then set HF_TOKEN"
    ):
        await ask()
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert (await ask()).pulled
    tokens = {kind: token for kind, *_, token in hub.asked}
    assert tokens == {"list": "Bearer hf_right", "resolve": "Bearer hf_right", "cdn": None}


async def test_what_the_hub_does_not_have_or_give_is_said(hub, ask, model):
    with pytest.raises(HubRefused, match=r"no model owner/nothing, or it is private"):
        await ask("owner/nothing")
    hub.add(REPO, model)
    with pytest.raises(HubRefused, match=r"no revision 'v9'"):
        await ask(f"{REPO}@v9")
    hub.faults[f"list:{REPO}"].append("403")
    with pytest.raises(HubRefused, match=r"does not give .* \(403\): set HF_TOKEN"):
        await ask()


@pytest.mark.parametrize("tells", ["tree", "headers", "lengths"])
async def test_hubs_that_tell_sizes_and_digests_elsewhere_will_do(hub, ask, model, store, tells):
    hub.tells, hub.knows_only_revisions = tells, True
    hub.add(REPO, model)
    found = (await ask()).pulled
    wanted = sorted({*model} - {"README.md", ".gitattributes", "consolidated.safetensors"})
    assert sorted(file.name for file in found.manifest.files) == [
        name for name in wanted if name.endswith((".json", ".safetensors"))
    ]
    assert all(
        (found.path / file.name).read_bytes() == model[file.name] and file.digest
        for file in found.manifest.files
    )
    (found.path / "tokenizer.json").write_bytes(b"[]")
    with pytest.raises(ConfigError, match="not what was pulled any more"):
        store.prove(found)


@pytest.mark.parametrize("tells", ["tree", "headers"])
async def test_damage_is_found_wherever_the_digest_was_told(hub, ask, model, store, tells):
    hub.tells = tells
    hub.add(REPO, model)
    hub.faults["model-00001-of-00002.safetensors"].extend(["corrupt"] * 2)
    with pytest.raises(WrongContent, match="its sha256 differs"):
        await ask()
    assert_nothing_counts_as_here(store)


@pytest.mark.parametrize("address", ["localhost:8080", "ftp://hub", "https://", "http:///x"])
async def test_an_address_that_is_none_is_said_at_once(ask, address):
    with pytest.raises(ConfigError, match=r"no address; it looks like https://huggingface.co"):
        await ask(endpoint=address)


async def test_an_empty_variable_means_the_usual_hub(monkeypatch):
    monkeypatch.setattr("byoi_agent.models.hub_client.constants.ENDPOINT", "")
    async with open_hub(None, None) as hub:
        assert hub.endpoint == "https://huggingface.co"


async def test_a_mirrors_plain_404_is_no_reason_to_ask_again(hub, ask, model):
    hub.add(REPO, model)
    hub.faults[f"list:{REPO}"].extend(["404", "404"])
    with pytest.raises(HubRefused, match=r"no model owner/Tiny-Model of that revision"):
        await ask()
    with pytest.raises(HubRefused, match=r"no revision 'v9'"):
        await ask(f"{REPO}@v9")
    assert [kind for kind, *_ in hub.asked] == ["list"] * 3


async def test_code_is_refused_before_a_weight_comes_and_nothing_is_left(hub, ask, store, model):
    wants_code = json.dumps({**json.loads(CONFIG), "auto_map": {"AutoModel": "modeling_tiny.X"}})
    hub.add(REPO, {**model, "config.json": wants_code.encode()})
    with pytest.raises(ConfigError, match=r"owner/Tiny-Model: config.json asks for code"):
        await ask()
    assert weights_asked(hub) == []
    assert not list(store.folder.glob("*.partial"))


async def test_the_owner_may_name_one_commit_whose_code_runs(hub, hubs, ask, model):
    wants_code = json.dumps({**json.loads(CONFIG), "auto_map": {"AutoModel": "modeling_tiny.X"}})
    hub.add(REPO, {**model, "config.json": wants_code.encode()})
    with pytest.raises(ConfigError, match="asks for code"):
        await ask(remote_code=frozenset({f"{REPO}@{'b' * 40}"}))
    found = (await ask(remote_code=frozenset({f"{REPO}@{hubs.COMMIT}"}))).pulled
    assert (found.path / "modeling_tiny.py").exists()
    elsewhere = wants_code.replace("modeling_tiny.X", "other/repo--code.X")
    hub.add(REPO, {**model, "config.json": elsewhere.encode()}, commit="c" * 40)
    with pytest.raises(ConfigError, match="asks for code"):
        await ask(remote_code=frozenset({f"{REPO}@{'c' * 40}"}))


async def test_pickles_alone_are_refused_before_anything_comes(hub, ask, model):
    only = {name: raw for name, raw in model.items() if not name.endswith("safetensors")}
    hub.add(REPO, only)
    with pytest.raises(NothingToServe, match=r"could hold code \(.bin"):
        await ask()
    assert [kind for kind, *_ in hub.asked] == ["list"]


@pytest.mark.parametrize(
    "name", ["../evil.json", "/etc/evil", "a/../../x.json", "a\\b.json", "c:x"]
)
async def test_a_file_that_would_lie_elsewhere_is_refused(hub, ask, model, name, tmp_path):
    hub.add(REPO, {**model, name: b"{}"})
    with pytest.raises(ConfigError, match="would not lie in the model's folder"):
        await ask()
    assert [kind for kind, *_ in hub.asked] == ["list"]
    assert not list(tmp_path.rglob("evil*"))


async def test_a_list_of_too_much_is_refused(hub, ask, model, monkeypatch):
    hub.add(REPO, model)
    monkeypatch.setattr("byoi_agent.models.listing._LISTED_FILES", 5)
    with pytest.raises(HubRefused, match="lists 11 files"):
        await ask()
    monkeypatch.setattr("byoi_agent.models.hub_client._LISTING_BYTES", 100)
    with pytest.raises(HubRefused, match="more files than any model has"):
        await ask()
    hub.add(REPO, model, listed={"tokenizer.json": {"size": -1}})


async def test_damaged_weights_are_found_before_an_engine_sees_them(hub, hubs, ask, store):
    lying = hubs.gguf()[:-10]
    hub.add(REPO, {"tiny-Q4_0.gguf": lying})
    with pytest.raises(ConfigError, match=r"owner/Tiny-Model: tiny-Q4_0.gguf is no sound GGUF"):
        await ask()
    assert_nothing_counts_as_here(store)
    assert not list(store.folder.glob("*.partial"))


async def test_of_several_ggufs_one_is_chosen(hub, hubs, ask, store):
    names = ["m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-F16.gguf"]
    hub.add(REPO, {name: hubs.gguf(size=64 + 32 * n) for n, name in enumerate(names)})
    with pytest.raises(WhichFile, match=r"--quantisation NAME: m-Q4_K_M.gguf .*, m-Q8_0.gguf"):
        await ask()
    four = (await ask(f"{REPO}:q4_k_m")).pulled
    assert (four.name, four.id) == (f"{REPO}:Q4_K_M", "m-Q4_K_M")
    eight = (await ask(file="m-Q8_0.gguf")).pulled
    assert store.find(f"{REPO}:Q8_0").key == eight.key
    assert store.find("m-Q4_K_M").path == four.path
    with pytest.raises(ConfigError, match="may be any of"):
        store.find(REPO)
    assert len(store.all()) == 2


async def test_a_disk_without_room_is_found_before_a_byte_comes(hub, ask, model, monkeypatch):
    hub.add(REPO, model)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    told = r"needs \S+ MB in .*; 1.0 kB are free: make room \(byoi models rm NAME\)"
    with pytest.raises(DiskFull, match=told):
        await ask()
    assert [kind for kind, *_ in hub.asked] == ["list"]


async def test_a_disk_that_fills_up_meanwhile_keeps_what_came(hub, ask, store, model, monkeypatch):
    hub.add(REPO, model)
    opened = module.Transfer._write

    async def full(self, response, stream, start, end):
        if end > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        await opened(self, response, stream, start, end)

    monkeypatch.setattr(module.Transfer, "_write", full)
    with pytest.raises(DiskFull, match=r"No space left on device; what came is kept"):
        await ask()
    assert_nothing_counts_as_here(store)
    monkeypatch.setattr(module.Transfer, "_write", opened)
    assert (await ask()).pulled


async def test_room_is_made_in_a_thread_as_a_node_serves_meanwhile(
    hub, hubs, ask, store, monkeypatch
):
    threads, remove = [], Store.remove_key

    def remove_key(store, key):
        threads.append(threading.current_thread())
        remove(store, key)

    monkeypatch.setattr(Store, "remove_key", remove_key)
    for name in ("first", "other"):
        hub.add(f"owner/{name}", {f"{name}-Q8_0.gguf": hubs.gguf(size=BIG)})
        await ask(f"owner/{name}", budget_bytes=int(1.5 * BIG))
    assert len(threads) == 1
    assert threading.main_thread() not in threads


async def test_the_longest_unused_model_makes_room_within_the_owners_budget(hub, hubs, ask, store):
    def repo(name):
        hub.add(f"owner/{name}", {f"{name}-Q8_0.gguf": hubs.gguf(size=BIG)})
        return f"owner/{name}"

    budget = {"budget_bytes": int(2.5 * BIG)}
    first = (await ask(repo("first"), **budget)).pulled
    second = (await ask(repo("second"), **budget)).pulled
    store.use(first).load()
    os.utime(store.folder / f"{second.key}.use", (1, 1))  # a file system's clock has coarse ticks
    third = await ask(repo("third"), **budget)
    assert third.removed == (second.key,)
    assert {one.key for one in store.all()} == {first.key, third.pulled.key}
    held = store.use(first)
    named = frozenset({third.pulled.key})
    with pytest.raises(DiskFull, match="model_disk_gib leaves room for no more"):
        await ask(repo("fourth"), named=named, **budget)
    assert len(store.all()) == 2
    del held
    assert (await ask("owner/fourth", named=named, **budget)).removed == (first.key,)


async def test_a_pinned_model_never_makes_room(hub, hubs, ask, store):
    for name in ("first", "second"):
        hub.add(f"owner/{name}", {f"{name}-Q8_0.gguf": hubs.gguf(size=BIG)})
    await ask("owner/first", is_pinned=True)
    with pytest.raises(DiskFull):
        await ask("owner/second", budget_bytes=int(1.5 * BIG))


async def test_what_another_pull_was_promised_is_no_room_for_this_one(
    hub, hubs, ask, store, monkeypatch
):
    for name in ("first", "second"):
        hub.add(f"owner/{name}", {f"{name}-Q8_0.gguf": hubs.gguf(size=BIG)})
    hub.faults["first-Q8_0.gguf"].append("stall:1000")
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(ask("owner/first", patience=Patience(stall_seconds=600)))
        while not any_part(store):
            await asyncio.sleep(0.01)
        with pytest.raises(DiskFull, match="model_disk_gib leaves room for no more"):
            await ask("owner/second", budget_bytes=int(1.5 * BIG))
        with monkeypatch.context() as little:
            free = SimpleNamespace(free=int(1.5 * BIG))
            little.setattr(module.shutil, "disk_usage", lambda _: free)
            with pytest.raises(DiskFull, match="are free"):
                await ask("owner/second")
        first.cancel()
    found = await ask("owner/second", budget_bytes=int(1.5 * BIG))
    assert {file.name for file in found.pulled.folder.iterdir()} == {"files", "manifest.json"}


async def test_two_pulls_of_one_model_bring_it_once(hub, ask, model, heard):
    hub.add(REPO, model)
    hub.chunk_seconds = 0.005
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(ask()) for _ in range(2)]
    assert sorted(task.result().was_here for task in both) == [False, True]
    assert len(weights_asked(hub)) == 4  # two files, each at the hub and where it sends us
    assert any("another process" in said.phase for said in heard)


def any_part(store):
    """Whether something of a pull is on the disk."""
    return any(file.stat().st_size for file in store.folder.rglob("*.part"))


async def test_a_cancelled_pull_leaves_what_came_for_the_next(hub, ask, store, model):
    hub.add(REPO, model)
    hub.faults["model-00001-of-00002.safetensors"].append("stall:500000")
    async with asyncio.timeout(60):
        task = asyncio.ensure_future(ask(patience=Patience(stall_seconds=600)))
        while hub.bytes_sent < 500_000 or not any_part(store):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    hub.bytes_sent = 0
    assert (await ask()).pulled
    assert hub.bytes_sent < BIG


async def test_offline_is_said_in_a_sentence(ask, monkeypatch):
    with pytest.raises(ConfigError, match='downloads="never"'):
        await ask(may_download=False)
    monkeypatch.setattr("byoi_agent.models.hub_client.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"HF_HUB_OFFLINE is set; .*byoi models list"):
        await ask()


async def test_offline_what_is_here_is_here(hub, hubs, ask, store, monkeypatch):
    hub.add(REPO, {"m-Q8_0.gguf": hubs.gguf()})
    first = (await ask()).pulled
    monkeypatch.setattr("byoi_agent.models.hub_client.constants.HF_HUB_OFFLINE", True)
    for name, file in ((REPO, None), (f"{REPO}:q8_0", None), (REPO, "m-Q8_0.gguf")):
        again = await ask(name, file=file, is_pinned=True)
        assert (again.was_here, again.pulled.key) == (True, first.key)
    assert store.all()[0].manifest.is_pinned
    for name, file in ((f"{REPO}:q4_0", None), (REPO, "other.gguf")):
        with pytest.raises(ConfigError, match="HF_HUB_OFFLINE is set"):
            await ask(name, file=file)
    first.path.write_bytes(b"x")
    with pytest.raises(ConfigError, match="not what was pulled any more"):
        await ask()


async def test_a_file_that_was_changed_is_not_served_any_more(hub, hubs, ask, store):
    hub.add(REPO, {"m-Q8_0.gguf": hubs.gguf()})
    found = (await ask()).pulled
    digest = hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert digest == found.manifest.files[0].digest
    raw = found.path.read_bytes()
    found.path.write_bytes(raw)  # touched alone: read whole, and right
    store.use(found).load()
    found.path.write_bytes(raw[:-1] + b"x")
    with pytest.raises(ConfigError, match=r"not what was pulled any more.*byoi models rm"):
        store.use(found).load()
    found.path.unlink()
    with pytest.raises(ConfigError, match="not what was pulled any more"):
        store.use(found).load()
    assert (found.folder / FILES).is_dir()


async def test_a_model_in_use_is_not_removed(hub, hubs, ask, store):
    hub.add(REPO, {"m-Q8_0.gguf": hubs.gguf()})
    found = (await ask()).pulled
    held = store.use(found)
    with pytest.raises(
        ModelInUse, match=r"in use by a running node; first: byoi models serve --stop"
    ):
        store.remove(found)
    assert store.is_in_use(found)
    del held
    store.remove(found)
    assert_nothing_counts_as_here(store)
    assert isinstance(ModelInUse("x"), AgentError)


async def test_a_model_whose_manifest_was_damaged_can_be_pulled_again(hub, ask, store, model):
    hub.add(REPO, model)
    first = await ask()
    (first.pulled.folder / "manifest.json").write_text("{broken")
    assert_nothing_counts_as_here(store)
    again = await ask()
    assert not again.was_here
    assert [one.key for one in store.all()] == [first.pulled.key]
    assert sorted(one.name for one in store.folder.iterdir() if one.is_dir()) == [first.pulled.key]


async def test_a_hub_that_is_not_there_is_told_soon_and_with_what_to_do(ask, monkeypatch):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    with pytest.raises(HubUnreachable, match="HTTPS_PROXY, or name another hub with HF_ENDPOINT"):
        await ask(endpoint="http://127.0.0.1:9", patience=Patience())
    assert sum(waits) < 10
