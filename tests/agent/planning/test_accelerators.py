from __future__ import annotations

import pytest

from byoi_agent.planning.accelerators import rates_of


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("NVIDIA GeForce RTX 4090", 1008),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 576),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 672),
        ("NVIDIA GeForce RTX 3070 Ti", 608),
        ("NVIDIA GeForce RTX 3070", 448),
        ("NVIDIA H200", 4800),
        ("NVIDIA H100 80GB HBM3", 3350),
        ("NVIDIA H100 PCIe", 2000),
        ("NVIDIA A100-SXM4-80GB", 2039),
        ("NVIDIA A100-SXM4-40GB", 1555),
        ("NVIDIA L4", 300),
        ("Tesla T4", 320),
        ("AMD Instinct MI300X", 5300),
        ("Apple M2 Max", 400),
    ],
)
def test_a_card_is_known_by_its_driver_s_name_for_it(name, gigabytes):
    assert rates_of(name).bytes_per_second == gigabytes * 1e9


@pytest.mark.parametrize(
    "name",
    ["NVIDIA RTX 9999", "AMD EPYC 9554", "", "L40000", "NVIDIA GeForce RTX 4080 Laptop GPU"],
)
def test_what_no_data_sheet_is_known_of_stays_unknown(name):
    assert rates_of(name) is None
