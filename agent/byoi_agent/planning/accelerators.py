"""How fast accelerators are, by their makers' data sheets: what none of them ever exceeds.

Memory bandwidth, and dense 16-bit tensor throughput (without the sparsity that halves the work on
paper). A card that is not here has no published number that we have read: its speed stays unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Rates:
    """One device's `bytes_per_second` of memory, and `flops` of 16-bit matrices, both at best."""

    bytes_per_second: float
    flops: float


# GB/s and TFLOP/s (bf16 or fp16, dense, 32-bit accumulation). NVIDIA: the data sheet of each data
# centre card; for GeForce the architecture whitepapers (Ampere GA102, Ada, Blackwell RTX), whose
# tensor figures with 32-bit accumulation are half of those with 16. AMD: the data sheets of
# Instinct, and of Radeon RX (peak half precision with matrix instructions). Apple: the
# specifications of the Macs for bandwidth; its graphics' half precision as published by reviewers.
_SHEETS: Final[tuple[tuple[str, float, float], ...]] = (
    (r"\bGB300\b|\bB300\b", 8000, 2500), (r"\bGB200\b|\bB200\b", 8000, 2250),
    (r"\bGH200\b", 4900, 989), (r"\bH200\b", 4800, 989), (r"\bH20\b", 4000, 148),
    (r"\bH100 NVL\b", 3900, 835), (r"\bH100\b.*PCIe", 2000, 756), (r"\bH100\b", 3350, 989),
    (r"\bA100\b.*80GB PCIe", 1935, 312), (r"\bA100\b.*80GB", 2039, 312),
    (r"\bA100\b", 1555, 312), (r"\bA800\b", 2039, 312), (r"\bA30\b", 933, 165),
    (r"\bA40\b", 696, 149.7), (r"\bA10G\b", 600, 70), (r"\bA10\b", 600, 125),
    (r"\bL40S\b", 864, 362), (r"\bL40\b", 864, 181), (r"\bL4\b", 300, 121),
    (r"\bV100\b", 900, 125), (r"\bT4\b", 320, 65),
    (r"RTX PRO 6000.*Blackwell", 1792, 504), (r"RTX 6000 Ada", 960, 364),
    (r"RTX A6000", 768, 155), (r"RTX A5000", 768, 111), (r"RTX A4000", 448, 77),
    (r"RTX 5090 Laptop", 896, 105), (r"RTX 5090", 1792, 210), (r"RTX 5080", 960, 113),
    (r"RTX 5070 Ti", 896, 88), (r"RTX 5070", 672, 62), (r"RTX 5060 Ti", 448, 47),
    (r"RTX 4090 Laptop", 576, 66), (r"RTX 4090", 1008, 165), (r"RTX 4080 SUPER", 736, 104),
    (r"RTX 4080", 717, 97), (r"RTX 4070 Ti SUPER", 672, 88), (r"RTX 4070 Ti", 504, 80),
    (r"RTX 4070", 504, 58), (r"RTX 4060 Ti", 288, 44), (r"RTX 4060", 272, 30),
    (r"RTX 3090 Ti", 1008, 80), (r"RTX 3090", 936, 71), (r"RTX 3080 Ti", 912, 68),
    (r"RTX 3080", 760, 59.5), (r"RTX 3070 Ti", 608, 43.5), (r"RTX 3070", 448, 40.6),
    (r"RTX 3060 Ti", 448, 32.4), (r"RTX 3060", 360, 25.5),
    (r"RTX 2080 Ti", 616, 53.8), (r"\bGB10\b|DGX Spark", 273, 62.5),
    (r"MI355X", 8000, 2500), (r"MI325X", 6000, 1307), (r"MI300X", 5300, 1307),
    (r"MI250X?", 3276, 362), (r"MI210", 1638, 181), (r"MI100", 1228, 184.6),
    (r"RX 9070 XT", 640, 195), (r"RX 7900 XTX", 960, 122.8), (r"RX 7900 XT", 800, 103),
    (r"Arc.*B580", 456, 117), (r"Arc.*A770", 560, 138),
    (r"Apple M4 Max", 546, 36), (r"Apple M4 Pro", 273, 18), (r"Apple M4\b", 120, 9),
    (r"Apple M3 Ultra", 819, 56), (r"Apple M3 Max", 400, 28), (r"Apple M2 Ultra", 800, 54),
    (r"Apple M2 Max", 400, 27), (r"Apple M1 Ultra", 800, 42), (r"Apple M1 Max", 400, 21),
)  # fmt: skip


def rates_of(name: str) -> Rates | None:
    """What is published of the accelerator that a driver calls so; None: nothing that we know."""
    is_laptops = "laptop" in name.lower()  # by the name of a desktop's card, and slower than that
    for pattern, gigabytes, teraflops in _SHEETS:
        if re.search(pattern, name, re.IGNORECASE) and is_laptops == pattern.endswith("Laptop"):
            return Rates(gigabytes * 1e9, teraflops * 1e12)
    return None
