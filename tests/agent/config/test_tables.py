"""Tables of the file: what they take, and how a wrong one is told."""

from __future__ import annotations

import pytest

from byoi_agent.config.check import problems_of
from byoi_agent.config.loading import load
from byoi_agent.config.settings import TABLES, shown, variable_of
from byoi_agent.errors import ConfigError

FILE = """
[[models]]
model = "smollm2-135m-instruct"
load = "start"
priority = 80

[[models]]
model = "owner/name"
prices = { currency = "EUR", input = 0.1, output = 0.4 }
adapters = [{ name = "mine", path = "/adapters/mine" }]

[tariff]
currency = "EUR"
price_per_kwh = 0.32

[[tariff.windows]]
days = ["sat", "sun"]
since = 22:00:00
until = "06:00"
price_per_kwh = 0.2
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "config.toml"


def test_models_and_a_tariff_are_read_from_the_file(file):
    file.write_text(FILE)
    settings = load({}, {}, file).values
    first, second = settings.models
    assert (first.load, first.priority, first.idle_unload_minutes) == ("start", 80, None)
    assert second.prices.output == 0.4
    assert second.adapters[0].name == "mine"
    (window,) = settings.tariff.windows
    assert (window.since.hour, window.until.hour, window.days) == (22, 6, ("sat", "sun"))
    assert shown("tariff", settings.tariff)["windows"][0]["since"] == "22:00"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[models]]\nmodel = "a"\nprio = 3', "models: [1].prio: unknown key"),
        ('[[models]]\nmodel = "a"\npriority = 101', "models: [1].priority: "),
        ('[tariff]\ncurrency = "euro"\nprice_per_kwh = 1', "tariff: currency: "),
        ('remote_code = ["owner/name@main"]', "remote_code: 'owner/name@main' is not"),
        (
            '[tariff]\ncurrency = "EUR"\nprice_per_kwh = 1\n'
            'windows = [{since = "25:00", until = "6", price_per_kwh = 1}]',
            "windows[1].since: ",
        ),
        (
            '[tariff]\ncurrency = "EUR"\nprice_per_kwh = 1\n'
            "windows = [{since = 22, until = 06:00:00, price_per_kwh = 1}]",
            'windows[1].since: 22 is no time of day; it looks like "22:00"',
        ),
    ],
)
def test_a_wrong_table_is_told_with_its_place(file, text, told):
    file.write_text(text)
    assert told in problems_of(file)[0].text
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load({}, {}, file)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_no_variable_gives_a_table(name):
    loaded = load({}, {variable_of(name): "x"}, None)
    assert loaded.sources[name] == "default"
    assert loaded.strays
