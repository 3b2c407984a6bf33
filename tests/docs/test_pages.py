"""What the pages at the root and the decisions say of files and packages is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AT_ROOT = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]


@pytest.mark.parametrize("name", AT_ROOT)
def test_links_to_files_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / name).read_text())
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (ROOT / link).exists()]


def test_a_newcomer_can_read_the_whole_readme():
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_pages_load_nothing_from_elsewhere(docs):
    pictures = [re.findall(r"!\[[^]]*\]\(([^)]+)\)", p.read_text()) for p in docs.rglob("*.md")]
    assert not [link for links in pictures for link in links if "://" in link]
    for picture in docs.rglob("*.svg"):
        assert not re.search(r"(href|src|url\()\s*=?\s*[\"']?https?:", picture.read_text())


@pytest.mark.parametrize("package", ["wire", "agent", "console"])
def test_every_dependency_has_its_reason(docs, package):
    page = (docs / "decisions" / "0012-dependencies.md").read_text()
    section = page.split(f"### The {'wire package' if package == 'wire' else package}")[1]
    told = set(
        re.findall(
            r"^\| `([a-z0-9-]+)` \|", re.split(r"^#", section, flags=re.MULTILINE)[0], re.MULTILINE
        )
    )
    project = tomllib.loads((ROOT / package / "pyproject.toml").read_text())["project"]
    named = {re.match(r"[a-z0-9-]+", each)[0] for each in project["dependencies"]}
    assert told == named - {"byoi-wire"}


def test_every_decision_says_what_was_refused_and_when_to_look_again(docs):
    for page in sorted((docs / "decisions").glob("*.md")):
        headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
        assert headings == ["Context", "Choice", "Refused", "Revisit"], page.name
        assert page.read_text().startswith(f"# {page.name[:4]} "), page.name


def test_every_page_is_in_the_navigation(docs):
    text = (ROOT / "mkdocs.yml").read_text()
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")}
    assert pages == set(re.findall(r": (\S+\.md)$", text, re.MULTILINE))


@pytest.mark.parametrize("package", ["agent", "console", "wire"])
def test_architecture_shows_the_arrows_that_are_checked(package):
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(each["layers"] for each in contracts["contracts"] if each["id"] == package)
    folder = ROOT / package / f"byoi_{package}"
    lines = []
    for layer in layers:
        names = [name.strip(" ()") for name in layer.split("|")]
        built = [n for n in names if (folder / n).is_dir() or (folder / f"{n}.py").exists()]
        if built:
            lines.append(f"`{' | '.join(built)}`")
    assert f"- {package}: {' / '.join(lines)}\n" in (ROOT / "ARCHITECTURE.md").read_text()
