from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_agent.bench.figures import Level, Prefill
from byoi_agent.bench.report import BenchReport, finished
from byoi_agent.bench.svg import drawing

SVG = "{http://www.w3.org/2000/svg}"


def report(levels, *, model="smol", engine="llamacpp 7", prefill=None, **changes):
    draft = BenchReport(
        model=model, engine=engine, at_ms=1_795_291_614_000, slots=4, context_tokens=None,
        prompt_tokens=256, output_tokens=128, seconds_per_level=10, **changes,
    )  # fmt: skip
    return finished(draft, levels, prefill, is_whole=True)


def a_level(concurrency, rate, first=20.0, joules=None):
    return Level(
        concurrency, 10.0, 9, first_token_ms_p50=first, first_token_ms_p95=first and 2 * first,
        request_tokens_per_second=rate / concurrency, tokens_per_second=rate, joules=joules,
    )  # fmt: skip


THREE = (a_level(1, 50.0), a_level(8, 200.0, 60.0), a_level(32, 205.0, 900.0, 2050.0))


def parsed(text):
    return ET.fromstring(text)


def words_of(tree):
    return " ".join("".join(text.itertext()) for text in tree.iter(f"{SVG}text"))


def test_the_diagram_tells_what_was_measured():
    tree = parsed(
        drawing(report(THREE, prefill=Prefill(5, 1024.0, 4000.0), active_parameters=10**9))
    )
    words = words_of(tree)
    for part in ("smol", "llamacpp 7", "2026-11-21", "knee", "prefill 4,000 tokens/s", "8.0"):
        assert part in words
    assert len(list(tree.iter(f"{SVG}circle"))) == 4 * len(THREE)


def test_it_is_told_to_those_who_cannot_see_it():
    tree = parsed(drawing(report(THREE)))
    assert tree.get("role") == "img"
    ids = {part.get("id"): part.text for part in tree if part.get("id")}
    assert set(tree.get("aria-labelledby").split()) == set(ids)
    assert "At concurrency 8: 200 tokens a second together" in ids["desc"]


def test_it_loads_nothing_and_runs_nothing_and_knows_the_dark():
    text = drawing(report(THREE))
    assert "<script" not in text
    assert not re.search(r"(href|src|url\()", text)
    assert "prefers-color-scheme: dark" in text


@given(st.text(max_size=200), st.none() | st.text(max_size=60))
def test_whatever_a_model_is_called_the_file_is_xml(model, engine):
    tree = parsed(drawing(report(THREE, model=model, engine=engine)))
    title = next(tree.iter(f"{SVG}title")).text
    kept = "".join(letter for letter in model if letter.isprintable())
    assert kept.strip() in title


@given(
    st.dictionaries(
        st.integers(1, 1024),
        st.tuples(st.floats(0.01, 1e6), st.none() | st.floats(0, 1e7)),
        min_size=1,
        max_size=9,
    )
)
def test_any_figures_stay_within_the_picture(figures):
    levels = [a_level(number, rate, first) for number, (rate, first) in figures.items()]
    tree = parsed(drawing(report(levels)))
    for dot in tree.iter(f"{SVG}circle"):
        assert 0 < float(dot.get("cx")) < 860
        assert 110 < float(dot.get("cy")) < 345


def test_a_level_alone_and_one_without_a_first_token_are_drawn():
    tree = parsed(drawing(report([a_level(4, 50.0, None)])))
    assert len(list(tree.iter(f"{SVG}circle"))) == 2


def test_long_names_are_cut_in_the_picture_only():
    tree = parsed(drawing(report(THREE, model="m" * 200)))
    assert "…" in words_of(tree)
    assert "m" * 200 in next(tree.iter(f"{SVG}title")).text


def test_without_figures_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="no level"):
        drawing(report([]))
