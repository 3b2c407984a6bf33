"""The licence of a package as an SPDX expression, from what its wheel says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import scan
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

BY_CLASSIFIER = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)": (
        "LGPL-2.1-or-later"  # python-xlib, whose LICENSE is version 2.1
    ),
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}

READ = {
    "colorama": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "nvidia-ml-py": "BSD-3-Clause",
    "segno": "BSD-3-Clause",
}
"""Packages that say "BSD" only: which one, from the text that they carry."""


class LicenceError(Exception):
    """A package does not say under which licence it is; read its text and name it in `READ`."""


def of(wheel: Path) -> str:
    """The expression, with identifiers that SPDX knows.

    Raises:
        LicenceError: the wheel says nothing that can be told.
    """
    return told(scan.metadata(wheel))


def told(metadata: Message) -> str:
    """The same from the wheel's metadata."""
    name = canonicalize_name(metadata["Name"])
    classifiers = [
        BY_CLASSIFIER[each] for each in metadata.get_all("Classifier", ()) if each in BY_CLASSIFIER
    ]
    for said in (
        metadata["License-Expression"],
        READ.get(name),
        " OR ".join(sorted(classifiers)),
        metadata["License"],
    ):
        try:
            return canonicalize_license_expression(said or "")
        except InvalidLicenseExpression:
            continue
    raise LicenceError(f"{name} {metadata['Version']} does not say under which licence it is")
