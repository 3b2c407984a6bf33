"""What a product is made of, as CycloneDX: every locked package with its hashes and its licence."""

from __future__ import annotations

import hashlib
import json
import uuid
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jsonschema
import licences
import wheels
from download import cached, kept_at
from packaging.pylock import PackageWheel
from referencing import Registry, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PRODUCTS = {
    "byoi": ("--all-packages",),
    "byoi-agent": ("--package", "byoi-agent"),
    "byoi-console": ("--package", "byoi-console"),
}
"""Each with a list of its own, and how `uv export` is asked for it."""

SCHEMAS = PackageWheel(
    url="https://files.pythonhosted.org/packages/cf/f0/b2cb999244f2f4194df63ecff6939228178fa63a33be809c412684ca8db7/cyclonedx_python_lib-11.12.0-py3-none-any.whl",
    hashes={"sha256": "0e807521a921a5c3cb8ce1153f8a61d29eedfe76a46aac2796b7c6b573391a54"},
)
"""CycloneDX's own schemas lie in this wheel; they are read from it, none of its code is run."""

NAMESPACE = uuid.UUID("5f3c1b7e-7c0b-5d55-9f0e-2a6f4f0c6b1d")


def build(product: str) -> dict[str, Any]:
    """The list of one product.

    Raises:
        LicenceError: a package does not say under which licence it is.
    """
    exported = json.loads(
        wheels.run_uv(
            *("export", "--quiet", "--frozen", "--no-dev", "--format", "cyclonedx1.5"),
            *PRODUCTS[product],
        )
    )
    found = {
        component["purl"]: licences.of(_described(component))
        for component in exported["components"]
        if "purl" in component
    }
    return finished(exported, product, found)


def finished(exported: Mapping[str, Any], product: str, found: Mapping[str, str]) -> dict[str, Any]:
    """What uv exports, with licences (by package URL), and the same bytes at every build."""
    listed = json.loads(json.dumps(exported))
    root = listed["metadata"]["component"]
    root |= {"type": "application", "name": product, "version": wheels.version()}
    for component in (root, *listed["components"]):
        named = found.get(component.get("purl", ""), "Apache-2.0")
        component["licenses"] = [{"expression": named}]
        if component["name"].startswith("byoi-"):
            component["purl"] = f"pkg:pypi/{component['name']}@{component['version']}"
    made = datetime.fromtimestamp(wheels.source_date_epoch(), UTC)
    listed["metadata"]["timestamp"] = made.strftime("%Y-%m-%dT%H:%M:%SZ")
    listed.pop("serialNumber", None)
    digest = hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()
    return {**listed, "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, digest)}"}


def _described(component: Mapping[str, Any]) -> Path:
    """One of its wheels: all say the same of the licence."""
    offered = [
        PackageWheel(url=each["url"], hashes={"sha256": each["hashes"][0]["content"]})
        for each in component["externalReferences"]
        if each["type"] == "distribution" and each["url"].endswith(".whl")
    ]
    here = [each for each in offered if kept_at(each).exists()]
    return cached(next(iter(here or offered)))


def check(listed: Mapping[str, Any]) -> None:
    """Hold a list against CycloneDX's schema.

    Raises:
        jsonschema.ValidationError: it is not what a reader of such lists expects.
    """
    with zipfile.ZipFile(cached(SCHEMAS)) as archive:
        schemas = {
            name: json.loads(archive.read(f"cyclonedx/schema/_res/{name}.SNAPSHOT.schema.json"))
            for name in ("bom-1.5", "spdx", "jsf-0.82")
        }
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas.values()
    )
    main = schemas["bom-1.5"]
    jsonschema.validators.validator_for(main)(main, registry=registry).validate(listed)
