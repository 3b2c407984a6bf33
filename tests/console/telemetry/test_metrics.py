from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from byoi_console.telemetry.metrics import MODELS_LIMIT, Facts, Histogram, Tally, exposition

FACTS = Facts(
    version="1.2.3",
    is_ready=True,
    requests_open=4,
    streams_open=3,
    links=2,
    nodes={"serving": 1, "offline": 5},
    postings_pending=6,
    ledger_waiting=7,
    ledger_is_healthy=False,
    postings=8,
    claims=9,
    claims_refused=10,
    differences=11,
    wrong_credentials={"password": 12},
)


def samples(tally=None, facts=FACTS):
    body, _ = exposition(tally or Tally(), facts, None)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def ended(tally, **changes):
    facts = {"route": "/v1/chat/completions", "model": "m", "status": 200}
    tally.request_ended(**{**facts, "outcome": "complete", "seconds": 0.3, **changes})


def tried(tally, **changes):
    facts = {"number": 1, "model": "m", "outcome": "complete", "tokens": {"prompt": 7}}
    tally.attempt_ended(**{**facts, "first_token_seconds": 0.2, **changes})


def test_facts_are_gauges_and_counts_of_the_owners():
    found = samples()
    assert found["byoi_console_build_info", "1.2.3"] == 1
    assert found["byoi_console_ready",] == 1
    assert found["byoi_console_ledger_healthy",] == 0
    assert found["byoi_console_nodes", "offline"] == 5
    assert found["byoi_console_differences_total",] == 11
    assert found["byoi_console_wrong_credentials_total", "password"] == 12


def test_requests_are_counted_by_route_model_outcome_and_status():
    tally = Tally()
    ended(tally)
    ended(tally)
    ended(tally, route="", model="", status=404, outcome="refused")
    found = samples(tally)
    name = "byoi_console_requests_total"
    assert found[name, "/v1/chat/completions", "200", "complete", "m"] == 2
    assert found[name, "404", "none", "other", "refused"] == 1


def test_attempts_bring_tokens_retries_and_times():
    tally = Tally()
    tried(tally)
    tried(tally, number=2, outcome="lost", first_token_seconds=None)
    found = samples(tally)
    assert found["byoi_console_attempts_total", "lost", "m"] == 1
    assert found["byoi_console_retries_total", "m"] == 1
    assert found["byoi_console_tokens_total", "m", "prompt"] == 14
    assert found["byoi_console_first_token_seconds_count", "m"] == 1
    assert found["byoi_console_first_token_seconds_bucket", "0.1", "m"] == 0
    assert found["byoi_console_first_token_seconds_bucket", "0.25", "m"] == 1


def test_the_number_of_series_has_a_bound():
    tally = Tally()
    for number in range(MODELS_LIMIT + 5):
        tried(tally, model=f"model-{number}")
    tried(tally, model="model-0")
    found = samples(tally)
    assert found["byoi_console_attempts_total", "complete", "other"] == 5
    assert found["byoi_console_attempts_total", "complete", "model-0"] == 2


@pytest.mark.parametrize(("value", "bucket"), [(1.0, "1"), (1.5, "2"), (3.0, "+Inf")])
def test_a_bucket_holds_what_is_not_above_its_bound(value, bucket):
    histogram = Histogram((1.0, 2.0))
    histogram.observe(value)
    buckets, total = histogram.buckets()
    assert total == value
    assert next(bound for bound, count in buckets if count) == bucket
    assert buckets[-1] == ("+Inf", 1.0)


def test_every_name_is_ours_or_the_process_s_and_ends_as_prometheus_has_it():
    tally = Tally()
    ended(tally)
    tried(tally)
    for name, *_ in samples(tally):
        assert name.startswith(("byoi_console_", "process_")), name


def test_openmetrics_is_given_to_whoever_asks_for_it():
    accept = "application/openmetrics-text; version=1.0.0"
    body, kind = exposition(Tally(), FACTS, accept)
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
