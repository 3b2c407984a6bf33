from __future__ import annotations

import json

import pytest

from byoi_agent.bench.fleet import Fleet
from byoi_agent.bench.kept import Kept
from byoi_agent.cli import plan_train as module
from byoi_agent.config.paths import Paths
from byoi_agent.hardware.devices import DeviceReading, ProbeReading
from byoi_wire.ids import ModelId
from byoi_wire.offers import Measured

GOLDEN = {
    "1T": (2840, 772, 231),
    "3T": (25_562, 6944, 2083),
    "10T": (284_026, 77_160, 23_148),
}


def told(byoi, *arguments):
    code, out, err = byoi("plan", "train", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("params", GOLDEN)
def test_the_nine_published_results_come_out_of_the_command(byoi, params):
    found = [
        told(byoi, "--params", params, "--days", 90, "--tflops", tflops)["gpus"]
        for tflops in (163, 600, 2000)
    ]
    assert tuple(map(round, found)) == GOLDEN[params]


def test_programs_get_every_input_as_a_plain_number(byoi):
    answer = told(byoi, "--params", "1T", "--days", "90", "--tflops", "163")
    inputs = {
        "params": 10**12,
        "active_params": 10**12,
        "tokens": 450 * 10**9,
        "tokens_per_param": 0.45,
        "days": 90,
        "seconds": 7_776_000,
        "tflops": 163,
        "flops": 163 * 10**12,
        "factor": 8,
        "tokens_times": 1,
        "wall_clock_times": 1,
        "network_times": 1,
        "post_training": 0,
        "fine_tuning": 0,
        "evaluation": 0,
        "synthetic_data": 0,
        "serving_tokens_per_second": 0,
        "uplink_mbit": 100,
    }
    assert {name: answer[name] for name in inputs} == inputs
    assert answer["gpus"] == pytest.approx(2840.2636, abs=1e-3)
    assert answer["gpus_to_buy"] == 2841
    assert answer["state_bytes"] == 16 * 10**12
    assert answer["are_tokens_assumed"]
    assert not answer["is_speed_assumed"]


def test_people_see_the_arithmetic_and_why_it_is_eight(byoi):
    code, out, _ = byoi("plan", "train", "--params", "1T", "--gpu", "a100")
    assert code == 0
    assert "8 x 450 B x 1 T = 3.6e+24" in out
    assert "2 forward, 4 backward, 2 to recompute" in out
    assert "2,840.26, so 2,841 to buy" in out
    assert "an assumption about an A100 80 GB, not measured" in out
    assert "16 TB = 16 a parameter (2 weights + 2 gradients + 4 master weights" in out
    assert "split over 25 machines" in out


@pytest.mark.parametrize(("gpu", "tflops"), [("a100", 163), ("H100", 600), ("gb300", 2000)])
def test_a_preset_is_marked_as_an_assumption(byoi, gpu, tflops):
    answer = told(byoi, "--params", "1T", "--gpu", gpu)
    assert answer["tflops"] == tflops
    assert answer["is_speed_assumed"]
    assert answer["has_nvlink"]


def test_the_time_of_so_many_gpus(byoi):
    answer = told(byoi, "--params", "1T", "--gpus", 2840.2635764598954, "--tflops", "163")
    assert answer["days"] == pytest.approx(90)
    out = byoi("plan", "train", "--params", "1T", "--gpus", "100", "--tflops", "163")[1]
    assert "7 years on 100 GPUs" in out
    assert "to buy" not in out


def test_tokens_and_experts_and_the_factor_can_be_said(byoi):
    answer = told(
        byoi,
        *("--params", "671B", "--active-params", "37B", "--tokens", "14.8T"),
        *("--tflops", "400", "--factor", "6"),
    )
    assert answer["flop"] == pytest.approx(6 * 14.8e12 * 37e9)
    assert answer["state_bytes"] == 16 * 671 * 10**9
    assert not answer["are_tokens_assumed"]
    out = byoi(
        *("plan", "train", "--params", "671B", "--active-params", "37B"),
        *("--tflops", "400", "--factor", "6"),
    )[1]
    assert "37 B" in out
    assert "6 are forward and backward" in out


def test_extras_have_lines_of_their_own(byoi):
    arguments = (
        *("--params", "1T", "--tflops", "163", "--tokens-times", "2", "--network-times", "1.5"),
        *("--wall-clock-times", "1.1", "--post-training", "0.1", "--fine-tuning", "0.05"),
        *("--evaluation", "0.02", "--synthetic-data", "0.3"),
        *("--serving-tokens-per-second", "1M"),
    )
    answer = told(byoi, *arguments)
    assert answer["gpus"] == pytest.approx(2840.2636 * 2 * 1.5 * 1.1 * 1.47, rel=1e-6)
    assert [part["name"] for part in answer["parts"]] == [
        "pre-training",
        "post-training",
        "fine-tuning",
        "evaluation",
        "synthetic data",
    ]
    assert answer["serving_gpus"] == pytest.approx(2e12 * 1e6 / 163e12)
    out = byoi("plan", "train", *arguments)[1]
    assert "1.1 x for restarts and failures, 1.5 x for waiting on the network" in out
    assert "12,270 GPUs afterwards, for 1 M tokens/s" in out


def test_memory_and_links_can_be_said(byoi):
    answer = told(
        byoi,
        *("--params", "70B", "--tflops", "50", "--gpu-memory-gib", "24"),
        *("--gpus-per-node", "2", "--no-nvlink", "--gpus", "8"),
    )
    names = [warning["name"] for warning in answer["warnings"]]
    assert names[:3] == ["memory", "node-memory", "no-nvlink"]
    assert answer["gpu_memory_bytes"] == 24 << 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--params"),
        (("--params", "1T"), "in one way: --tflops 163"),
        (("--params", "1T", "--tflops", "1", "--gpu", "a100"), "in one way"),
        (("--params", "0", "--tflops", "1"), "not above zero"),
        (("--params", "-1T", "--tflops", "1"), "not above zero"),
        (("--params", "nan", "--tflops", "1"), "no number"),
        (("--params", "inf", "--tflops", "1"), "no number"),
        (("--params", "1e40", "--tflops", "1"), "more than can be meant"),
        (("--params", "big", "--tflops", "1"), "write it as 405B"),
        (("--params", "1T", "--tflops", "0"), "not above zero"),
        (("--params", "1T", "--tflops", "nan"), "no number"),
        (("--params", "1T", "--tflops", "1", "--days", "0"), "not above zero"),
        (("--params", "1T", "--tflops", "1", "--days", "-3"), "not above zero"),
        (("--params", "1T", "--tflops", "1", "--days", "9e9"), "is not from 0 to"),
        (("--params", "1T", "--tflops", "1", "--tokens", "0"), "not above zero"),
        (("--params", "1T", "--tflops", "1", "--gpus", "0"), "not above zero"),
        (("--params", "1T", "--tflops", "1", "--days", "1", "--gpus", "1"), "give one of them"),
        (("--params", "1T", "--tflops", "1", "--active-params", "2T"), "cannot be more"),
        (("--params", "1T", "--tflops", "1", "--post-training", "-1"), "below zero"),
        (("--params", "1T", "--gpu", "c64"), "a100"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(byoi, arguments, words):
    code, out, err = byoi("plan", "train", *arguments)
    assert code == 64
    assert out == ""
    assert words in err
    assert "Traceback" not in err


@pytest.fixture
def fleet(monkeypatch):
    """What the console says of its nodes."""
    asked = []

    def run(answer):
        async def read(console, key):
            asked.append((console.base, key))
            return answer

        monkeypatch.setattr(module, "read_fleet", read)
        monkeypatch.setenv("BYOI_API_KEY", "byoi-key")
        return asked

    return run


def test_a_fleet_is_the_sum_of_what_was_measured_and_says_what_was_not(byoi, fleet):
    asked = fleet(Fleet(online=5, measured=2, flops=30e12, memory_bytes=24 << 30, offline=1))
    arguments = ("--params", "8B", "--fleet", "--console", "https://c.example/")
    answer = told(byoi, *arguments)
    assert asked == [("https://c.example", "byoi-key")]
    assert answer["unit"] == "node"
    assert answer["tflops"] == 15
    assert answer["measured"] == {
        "count": 2,
        "flops": 30 * 10**12,
        "unmeasured": 3,
        "offline": 1,
        "seconds": pytest.approx(8 * 3.6e9 * 8e9 / 30e12),
    }
    out = byoi("plan", "train", *arguments)[1]
    assert "2 nodes with 30 TFLOP/s measured; not counted: 3 online without" in out
    assert "1 not online" in out
    assert "on this fleet" in out
    assert "over the connections of homes" in out
    assert "forward work only" in out


def test_a_fleet_that_was_never_measured_is_told_what_to_run(byoi, fleet):
    fleet(Fleet(online=3, measured=0, flops=0.0, memory_bytes=None))
    code, _, err = byoi("plan", "train", "--params", "8B", "--fleet", "--console", "https://c")
    assert code == 78
    assert "none of the 3 nodes" in err
    assert "byoi bench" in err


def test_a_fleet_needs_a_key_and_a_console(byoi, fleet, monkeypatch):
    fleet(None)
    code, _, err = byoi("plan", "train", "--params", "8B", "--fleet")
    assert code == 78
    assert "--console https://console.example" in err
    monkeypatch.delenv("BYOI_API_KEY")
    code, _, err = byoi("plan", "train", "--params", "8B", "--fleet", "--console", "https://c")
    assert code == 78
    assert "set BYOI_API_KEY" in err


def measured(flops):
    return Measured(
        at_ms=1,
        engine="llamacpp 2026.10",
        first_token_ms=20,
        decode_tokens_per_second=40,
        knee_concurrency=4,
        knee_tokens_per_second=100,
        flops=flops,
    )


def test_this_machine_is_reckoned_by_what_was_measured_on_it(byoi, tmp_path, monkeypatch):
    async def memory(_paths):
        return 16 << 30

    monkeypatch.setattr(module, "_memory_here", memory)
    kept = Kept(tmp_path / "measured.json")
    kept.keep(ModelId("smol"), measured(50e9))
    kept.keep(ModelId("other"), measured(80e9))
    arguments = ("--params", "135M", "--tokens", "2.7B", "--machine", "--data-dir", tmp_path)
    answer = told(byoi, *arguments)
    assert answer["unit"] == "machine"
    assert answer["flops"] == 80 * 10**9
    assert answer["measured"]["seconds"] == pytest.approx(8 * 2.7e9 * 135e6 / 80e9)
    out = byoi("plan", "train", *arguments)[1]
    assert "80 GFLOP/s achieved, measured by byoi bench" in out
    assert "422 days on this machine" in out
    assert "machines" in out


def test_a_machine_that_was_never_measured_is_told_what_to_run(byoi, tmp_path):
    code, _, err = byoi("plan", "train", "--params", "1B", "--machine", "--data-dir", tmp_path)
    assert code == 78
    assert "run byoi bench" in err


async def test_memory_is_that_of_the_accelerators_or_of_the_machine(tmp_path, monkeypatch):
    devices = [DeviceReading(0, "nvidia", "GPU", memory_total_bytes=24)] * 2

    class Probe:
        async def read(self):
            return ProbeReading(tuple(devices))

    monkeypatch.setattr(module, "machine_probe", Probe)
    paths = Paths(tmp_path, tmp_path, tmp_path)
    assert await module._memory_here(paths) == 48
    devices.clear()
    assert await module._memory_here(paths) > 48
