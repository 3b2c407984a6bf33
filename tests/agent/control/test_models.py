from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from byoi_agent.clock import SystemClock
from byoi_agent.config.loading import load
from byoi_agent.config.paths import resolve
from byoi_agent.control.model_words import PullOrder, ServeOrder, pull_of
from byoi_agent.control.models import Models
from byoi_agent.control.routing import Refusal
from byoi_agent.control.schema import ReloadReport
from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.errors import ConfigError
from byoi_agent.models.catalogue import DEFAULT_MODEL
from byoi_agent.models.pull import pull
from byoi_agent.models.pulls import Pulls
from byoi_agent.models.store import ModelInUse, Store
from byoi_agent.models.terms import terms_of

REPO = "owner/Tiny-GGUF"
NAME = f"{REPO}:Q8_0"


class Node:
    """What a node's rooms would do with models."""

    def __init__(self, tmp_path):
        self.file = tmp_path / "config.toml"
        self.flags = {"cache_dir": tmp_path / "cache", "data_dir": tmp_path / "data"}
        self.orders = []
        self.failure = None
        self.engines = ()

    def settings(self):
        return load(self.flags, {}, self.file if self.file.exists() else None).values

    def reload(self):
        if self.failure is not None:
            raise self.failure
        return ReloadReport(now=("model",))

    def sleep(self, within_seconds, model=None):
        self.orders.append(("sleep", within_seconds, model))

    def wake(self, model=None):
        self.orders.append(("wake", model))


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


@pytest.fixture
def store(node):
    return Store(resolve(node.settings(), {}).models_folder)


@pytest.fixture
def told():
    return []


@pytest.fixture
def models(node, store, told):
    def fetch(reference, file, is_pinned, report):
        terms = replace(terms_of(node.settings(), store), margin_bytes=0)
        return pull(reference, store, terms, report, file=file, is_pinned=is_pinned)

    return Models(
        pulls=Pulls(fetch, told.append, SystemClock()),
        engine=node,
        engines=lambda: node.engines,
        settings=node.settings,
        reload=node.reload,
        paths=resolve(node.settings(), {}),
        config_file=node.file,
    )


@pytest.fixture
async def pulled(models, node, hub, hubs, monkeypatch):
    """The model, brought by a pull of the node."""
    monkeypatch.setattr("byoi_agent.models.hub_client.constants.HF_HUB_OFFLINE", False)
    node.flags["hub"] = hub.url
    hub.add(REPO, {name: hubs.gguf() for name in ("tiny-Q4_0.gguf", "tiny-Q8_0.gguf")})
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(60):
        running = tasks.create_task(models.pulls.run())
        await asyncio.sleep(0)
        view = models.pull(PullOrder(model=NAME))
        while not models.pulls.views[0].is_over:
            await asyncio.sleep(0.001)
        running.cancel()
    ended = pull_of(models.pulls.views[0])
    assert ended.state == "done", ended.error
    (here,) = Store(models.paths.models_folder).all()
    assert ended.came == f"{here.name}@{here.manifest.commit}"
    return view


async def row_of(models, name):
    found, _ = await models.all()
    return next(row for row in found if row.name == name)


async def test_a_model_comes_with_progress_and_is_listed(models, pulled, told):
    row = await row_of(models, NAME)
    assert (row.is_here, row.is_served, row.is_loaded, row.quantisation) == (
        True,
        False,
        False,
        "Q8_0",
    )
    shown = [pull_of(view) for view in told]
    assert shown[0].state == "waiting"
    assert shown[-1].state == "done"
    assert any(one.total_bytes and one.done_bytes == one.total_bytes for one in shown)


async def test_a_model_is_served_and_then_no_more_and_then_removed(models, pulled, node):
    report = await models.serve(NAME, ServeOrder(slots=2))
    assert (report.is_served, report.engine, report.reloaded.now) == (True, "llamacpp", ("model",))
    assert node.file.read_text() == f'model = "{NAME}"\nslots = 2\n'
    assert (await row_of(models, NAME)).is_served
    with pytest.raises(Refusal, match="byoi models serve --stop") as refusal:
        await models.remove(NAME)
    assert refusal.value.status == 409
    assert not models.unserve(NAME).is_served
    assert "model" not in node.file.read_text()
    gone = await models.remove(NAME)
    assert gone.removed[0].startswith(NAME)
    assert gone.freed_bytes > 0
    with pytest.raises(Refusal, match="is not here"):
        await models.remove(NAME)


async def test_a_model_that_an_engine_has_is_not_removed(models, pulled, store):
    held = store.use(store.find(NAME))
    with pytest.raises(ModelInUse, match="in use"):
        await models.remove(NAME)
    assert (await row_of(models, NAME)).is_in_use
    del held
    await models.remove(NAME)


async def test_what_the_node_cannot_serve_leaves_the_file_as_it_was(models, pulled, node):
    with pytest.raises(ConfigError, match="is no engine that is given models"):
        await models.serve(NAME, ServeOrder(engine="http://127.0.0.1:1/v1"))
    with pytest.raises(ConfigError):
        await models.serve("owner/none", ServeOrder())
    assert not node.file.exists()
    node.failure = ConfigError("there is no memory for it")
    with pytest.raises(ConfigError, match="nothing is changed: there is no memory"):
        await models.serve(NAME, ServeOrder())
    assert not node.file.exists()


async def test_loading_and_unloading_go_to_the_place_where_the_model_is(models, pulled, node):
    served = ServedModel(id="tiny-Q8_0", engine_id="tiny", routes=())
    node.engines = (EngineView(state="ready", kind="llamacpp", key="engine", models=(served,)),)
    assert (await row_of(models, NAME)).is_loaded
    await models.unload(NAME, 0.5)
    await models.load("tiny-Q8_0")
    await models.load("owner/other")
    assert node.orders == [("sleep", 0.5, "engine"), ("wake", "engine"), ("wake", "owner/other")]


async def test_the_only_engine_s_model_has_its_state_also_while_it_tells_of_none(models, node):
    node.engines = (EngineView(state="asleep", kind="llamacpp", key="engine"),)
    assert (await row_of(models, DEFAULT_MODEL)).engine_state == "asleep"
    node.engines = (EngineView(state="starting", kind="attached", key="engine"),)
    assert (await row_of(models, DEFAULT_MODEL)).engine_state is None


@pytest.mark.parametrize(
    "order",
    [{"model": "nonsense"}, {"model": "../../etc/passwd"}, {"model": NAME, "file": "x.gguf"}],
)
def test_what_is_no_model_of_a_hub_is_not_pulled(models, order):
    with pytest.raises(Refusal, match="is no model of a hub") as refusal:
        models.pull(PullOrder(**order))
    assert refusal.value.status == 400


async def test_a_model_of_the_catalogue_and_one_that_is_not_served_are_told(models, node):
    with pytest.raises(Refusal, match="of the catalogue"):
        await models.remove((await models.all())[0][-1].id)
    with pytest.raises(Refusal, match="does not name"):
        models.unserve("owner/none")
    with pytest.raises(ConfigError, match="no configuration file"):
        replace(models, config_file=None).unserve("owner/none")


async def test_who_stays_loaded_is_said_where_there_are_several(models, pulled, node):
    await models.serve(NAME, ServeOrder())
    assert (await row_of(models, NAME)).priority is None
    with pytest.raises(ConfigError, match="beside other models only"):
        await models.serve(NAME, ServeOrder(priority=80))
    await models.serve(DEFAULT_MODEL, ServeOrder(priority=10))
    await models.serve(NAME, ServeOrder(priority=80))
    ranks = [(await row_of(models, name)).priority for name in (NAME, DEFAULT_MODEL)]
    assert ranks == [80, 10]


async def test_a_model_that_the_settings_call_by_less_is_the_same_one(models, pulled, node):
    node.file.write_text(f'[[models]]\nmodel = "{REPO}"\n[[models]]\nmodel = "{DEFAULT_MODEL}"\n')
    assert (await row_of(models, NAME)).priority == 50
    assert (await models.serve(NAME, ServeOrder(priority=7))).model == REPO
    assert (await row_of(models, NAME)).priority == 7
    assert node.file.read_text().count("[[models]]") == 2
    models.unserve(NAME)
    assert REPO not in node.file.read_text()


async def test_a_commit_that_is_asked_for_by_name_is_what_is_served(models, pulled, node, store):
    commit = store.find(NAME).manifest.commit
    node.file.write_text(f'[[models]]\nmodel = "{REPO}"\n[[models]]\nmodel = "{DEFAULT_MODEL}"\n')
    with pytest.raises(Refusal, match="does not name"):
        models.unserve(f"{REPO}@{commit}")
    assert (await models.serve(f"{NAME}@{commit}", ServeOrder())).model == f"{NAME}@{commit}"
    assert [one.model for one in node.settings().models][-1] == f"{NAME}@{commit}"
    again = await models.serve(f"{NAME}@{commit[:12]}", ServeOrder(slots=2))
    assert again.model == f"{NAME}@{commit}", "another word for the same commit is no other model"


async def test_a_file_of_the_owner_s_own_is_listed_while_it_is_served(models, node, hubs, tmp_path):
    file = tmp_path / "Own-Q4_K_M.gguf"
    file.write_bytes(hubs.gguf())
    node.file.write_text(
        f'[[models]]\nmodel = "{file}"\npriority = 80\n[[models]]\nmodel = "{tmp_path}/gone.gguf"\n'
    )
    node.engines = (EngineView(state="ready", kind="llamacpp", key="Own-Q4_K_M"),)
    row = await row_of(models, str(file))
    assert (row.id, row.source, row.quantisation) == ("Own-Q4_K_M", "path", "Q4_K_M")
    assert (row.is_served, row.is_loaded, row.priority) == (True, True, 80)
    assert not any("gone" in each.name for each in (await models.all())[0])
    await models.unload(str(file), 1.0)
    assert node.orders == [("sleep", 1.0, "Own-Q4_K_M")]


async def test_the_engine_that_its_entry_names_stays_until_another_is_ordered(
    models, node, hubs, tmp_path, monkeypatch
):
    folder, tried = tmp_path / "Tiny", []
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["X"]}))
    (folder / "model.safetensors").write_bytes(hubs.safetensors())
    monkeypatch.setattr("byoi_agent.control.models.check_can_serve", lambda *all: tried.append(all))
    node.file.write_text(
        f'[[models]]\nmodel = "{folder}"\nengine = "vllm@0.1.0"\n'
        f'[[models]]\nmodel = "{DEFAULT_MODEL}"\n'
    )
    name = str(folder)
    assert (await models.serve(name, ServeOrder(priority=80))).engine == "vllm@0.1.0"
    assert [each[-1] for each in tried] == ["vllm@0.1.0"]
    first = node.settings().models[0]
    assert (first.engine, first.priority) == ("vllm@0.1.0", 80)
    await models.serve(name, ServeOrder(engine="vllm"))
    assert node.settings().models[0].engine == "vllm"
    await models.serve(DEFAULT_MODEL, ServeOrder(priority=10))
    assert node.settings().models[1].engine is None
