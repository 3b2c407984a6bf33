from __future__ import annotations

from types import SimpleNamespace

from byoi_console.accounts.principal import Principal
from byoi_console.catalogue.models import Catalogue
from byoi_wire.offers import ModelOffer

OFFERS = (
    ModelOffer(id="Qwen3-8B", engine="vllm", routes=(), context_tokens=4096, created_at=7),
    ModelOffer(id="SmolLM2-135M", engine="llamacpp", routes=()),
)


def catalogue():
    return Catalogue(SimpleNamespace(models=lambda org_id: OFFERS if org_id == "org_1" else ()))


def principal(models=None, org_id="org_1"):
    return Principal(key_id="key_1", org_id=org_id, scope="inference", models=models)


def test_the_list_has_openai_s_shape():
    listed = catalogue().listed(principal())
    assert listed["object"] == "list"
    first = listed["data"][0]
    assert {"id": "Qwen3-8B", "object": "model", "created": 7, "owned_by": "byoi"}.items() <= (
        first.items()
    )


def test_a_key_sees_the_models_it_may_use():
    only = principal(frozenset({"SmolLM2-135M", "gone"}))
    assert [model["id"] for model in catalogue().listed(only)["data"]] == ["SmolLM2-135M"]
    assert catalogue().described(only, "Qwen3-8B") is None
    assert catalogue().near(only, "Qwen3-8b") == ()


def test_one_model_is_described_like_its_entry_in_the_list():
    listed = catalogue().listed(principal())
    assert catalogue().described(principal(), "Qwen3-8B") == listed["data"][0]


def test_near_names_are_offered():
    assert catalogue().near(principal(), "smollm2") == ("SmolLM2-135M",)


def test_an_adapter_names_its_base_and_others_name_none():
    adapter = ModelOffer(id="pirate", engine="vllm", routes=(), base="Qwen3-8B", is_loaded=False)
    found = Catalogue(SimpleNamespace(models=lambda _: (*OFFERS, adapter)))
    plain, _, over_it = found.listed(principal())["data"]
    assert (over_it["id"], over_it["parent"], over_it["root"]) == ("pirate", *["Qwen3-8B"] * 2)
    assert not {"parent", "root"} & plain.keys()
