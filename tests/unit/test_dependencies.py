"""What is imported is declared: nothing works only because something else happened to install it."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported(folder: Path) -> dict[str, str]:
    """Top-level modules of other people's packages, with a file that imports each."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        for name in imports(ast.parse(path.read_text(encoding="utf-8"))):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in ("mediamill", "tests"):
                found[top] = str(path.relative_to(ROOT))
    return found


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def plain(requirement: str) -> str:
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement.strip(), maxsplit=1)[0]).lower()


def named_in(file: str) -> set[str]:
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    return {plain(line) for line in lines if line.strip() and not line.startswith("#")}


def undeclared(folder: str, declared: set[str]) -> dict[str, str]:
    made_by = packages_distributions()
    return {
        module: path
        for module, path in imported(ROOT / folder).items()
        if not declared & {plain(name) for name in made_by.get(module, [module])}
    }


def runtime() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {plain(requirement) for requirement in project["dependencies"]}


def test_what_the_product_imports_is_in_pyproject() -> None:
    assert undeclared("src", runtime()) == {}


def test_what_the_tests_import_is_in_test_in() -> None:
    assert undeclared("tests", runtime() | named_in("test.in") | named_in("test-nodeps.in")) == {}


def test_every_requirement_is_locked_by_hash() -> None:
    for file in sorted((ROOT / "requirements").glob("*.txt")):
        text = file.read_text()
        assert "://" not in text, file.name
        blocks = re.split(r"\n(?=[a-z0-9])", text.strip(), flags=re.IGNORECASE)
        assert [block.partition(" ")[0] for block in blocks if "--hash=sha256:" not in block] == [], file.name


def test_every_python_gets_the_versions_that_are_tested() -> None:
    for file in sorted((ROOT / "requirements").glob("*.txt")):
        names = re.findall(r"^([a-z0-9][a-z0-9.-]*)==", file.read_text(), re.MULTILINE)
        assert [name for name in names if names.count(name) > 1] == [], f"{file.name}: limits.in keeps the later out"


def test_the_pip_of_the_checkout_is_the_locked_one() -> None:
    (brought,) = (ROOT / "requirements").glob("pip-*.whl")
    locked = (ROOT / "requirements" / "pip.txt").read_text()
    assert f"pip=={brought.name.split('-')[1]} " in locked
    assert f"sha256:{hashlib.sha256(brought.read_bytes()).hexdigest()}" in locked, "run ./mill lock"


def test_the_lock_holds_what_is_declared() -> None:
    for declared, file in [(runtime(), "runtime.txt"), (runtime() | named_in("test.in"), "test.txt")]:
        locked = set(re.findall(r"^([a-z0-9][a-z0-9.-]*)==", (ROOT / "requirements" / file).read_text(), re.MULTILINE))
        assert declared - locked == set(), "run ./mill lock"
