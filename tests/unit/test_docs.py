"""The docs are true: links lead somewhere, the reference is what the code says, the example kind works."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(page for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]

    assert [link for link in targets if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_are_python(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        ast.parse(block)


def test_the_reference_is_what_the_code_says() -> None:
    make = module(ROOT / "docs" / "make.py", "mediamill_docs_make")

    stale = [name for name, text in make.pages().items() if (make.HERE / name).read_text(encoding="utf-8") != text]

    assert stale == [], "run ./mill docs"


def test_the_readme_starts_with_a_request_its_answer_and_two_commands() -> None:
    text = (ROOT / "README.md").read_text()

    assert re.match(r"# Mediamill\n\n```http\nPOST .*?```\n\n```json\n\{.*?```\n\n", text, flags=re.DOTALL)
    shell = [line for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) for line in block.splitlines()]
    assert shell[:2] == ["./mill demo", "./mill test"]


def test_the_kind_of_the_guide_passes_the_test_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mediamill import kinds

    guide = (ROOT / "docs" / "how-to" / "add-a-kind.md").read_text()
    files = dict(re.findall(r"`(\S+\.py)`:\n\n```python\n(.*?)```", guide, flags=re.DOTALL))
    kind_file, test_file = tmp_path / "facts.py", tmp_path / "test_facts.py"
    kind_file.write_text(files["src/mediamill/kinds/facts.py"])
    test_file.write_text(files["tests/kinds/test_facts.py"])

    name = f"{kinds.__name__}.facts"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(kinds, "facts", module(kind_file, name), raising=False)
    monkeypatch.setitem(sys.modules, "guide_test_facts", ModuleType("guide_test_facts"))
    module(test_file, "guide_test_facts").test_a_pictures_size_is_known(tmp_path)

    assert kinds.facts.KIND.name == "facts"  # type: ignore[attr-defined]
