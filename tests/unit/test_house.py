"""The house keeps its own rules: what a list or a habit would have to remember is held here instead."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import mediamill
from mediamill import cli, config, dialects, engines, kinds
from mediamill.core import errors
from mediamill.core.tasks import NEXT, State
from mediamill.dialects import Dialect, status_of

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "mediamill"
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST = 500
LONGER: dict[str, str] = {}
"""Modules past 500 lines, with the reason why there is no second noun in them."""
HEAVY = {"PIL", "av", "cv2", "faster_whisper", "numpy", "onnxruntime", "pikepdf", "pypandoc", "pypdfium2", "pyvips"}
HEAVY |= {"asyncpg", "fontTools", "litestar", "obstore", "openpyxl", "py7zr", "pysubs2", "torch", "typst", "uvicorn"}
SAMPLE: dict[str, Any] = {"reason": "It is so.", "field": "options.a", "remedy": "Do this.", "noun": "task", "id": "a1"}
SAMPLE |= {"retry_after_s": 3.0, "setting": "MEDIAMILL_PORT", "expected": 3, "got": 4, "stderr_tail": "secret tail"}
SAMPLE |= {"message": "It is so.", "allow": "GET"}


def by_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


def public(package: Any) -> Iterator[str]:
    """Names of the modules of a scanned folder."""
    return (found.name for found in pkgutil.iter_modules(package.__path__) if not found.name.startswith("_"))


# --- errors -----------------------------------------------------------------------------------------------------------


def every_error() -> list[type[errors.MediamillError]]:
    """All classes below Rejected, Failed, DatabaseAway and Misconfigured, in whatever room but the dialects."""
    for module in pkgutil.walk_packages(mediamill.__path__, "mediamill."):
        if not module.name.endswith("__main__") and not module.name.startswith("mediamill.dialects."):
            importlib.import_module(module.name)

    def below(base: Any) -> Iterator[Any]:
        yield base
        for child in base.__subclasses__():
            yield from below(child)

    bases = (errors.Rejected, errors.Failed, errors.DatabaseAway, errors.Misconfigured)
    found = {error for base in bases for error in below(base)}
    return sorted(
        (e for e in found if e.__module__.startswith("mediamill.") and ".dialects." not in e.__module__),
        key=lambda error: error.__qualname__,
    )


def sample(error: type[errors.MediamillError]) -> errors.MediamillError:
    """An error of that class, as raised somewhere."""
    if error.__init__ is Exception.__init__:
        return error("It is so.")
    return error(**{name: SAMPLE[name] for name in list(inspect.signature(error.__init__).parameters)[1:]})


@pytest.mark.parametrize("room", ["dashboard", *(f"dialects.{dialect.name}" for dialect in dialects.load())])
def test_every_error_has_a_row_in_the_table_of_every_room_that_words_them(room: str) -> None:
    table = importlib.import_module(f"mediamill.{room}.errors").ERRORS

    for error in every_error():
        assert any(ancestor in table for ancestor in error.__mro__), f"{error.__name__} falls through"
        status, word = status_of(sample(error), table)
        assert word
        expected = range(400, 500) if issubclass(error, errors.Rejected) else range(400, 600)
        assert status in expected, error.__name__


@pytest.mark.parametrize("dialect", dialects.load(), ids=lambda dialect: dialect.name)
def test_every_error_can_be_worded_and_says_nothing_private(dialect: Dialect) -> None:
    for error in map(sample, every_error()):
        error.__cause__ = OSError("/var/private/thing")

        answer = dialect.write_error(error)

        assert 400 <= answer.status < 600
        assert json.loads(answer.body)
        assert b"secret tail" not in answer.body
        assert b"private" not in answer.body


def test_every_error_of_the_core_has_a_code_of_its_own() -> None:
    codes = [error.__dict__.get("code") for error in every_error() if error.__module__ == errors.__name__]

    assert None not in codes
    assert len(codes) == len(set(codes))


def test_the_tree_at_the_top_of_the_errors_file_names_them_all() -> None:
    tree = errors.__doc__ or ""

    missing = [e.__name__ for e in every_error() if e.__module__ == errors.__name__ and e.__name__ not in tree]

    assert missing == []


# --- folders that are scanned -----------------------------------------------------------------------------------------


def test_a_kinds_name_is_its_files_name() -> None:
    for name in public(kinds):
        assert importlib.import_module(f"mediamill.kinds.{name}").KIND.name == name


def test_an_engines_name_is_its_files_name() -> None:
    for name in public(engines):
        module = importlib.import_module(f"mediamill.engines.{name}")
        found = [word for word in ("CONVERTER", "PROBER", "PROVIDES") if hasattr(module, word)]
        assert found, f"{name} is no engine; call it _{name}"
        assert getattr(getattr(module, "CONVERTER", None), "name", name) == name


def test_a_dialects_name_is_its_folders_name() -> None:
    for name in public(dialects):
        dialect = importlib.import_module(f"mediamill.dialects.{name}").DIALECT
        assert (dialect.name, dialect.prefix) == (name, f"/{name}")


def test_a_commands_name_is_its_files_name() -> None:
    assert {name for name in public(cli) if not name.startswith("_")} <= set(cli.mediamill.list_commands(None))  # type: ignore[arg-type]  # it needs no context


@pytest.mark.parametrize("name", sorted(public(kinds)))
def test_every_kind_has_its_tests(name: str) -> None:
    assert [*ROOT.glob(f"tests/kinds/test_{name}.py"), *ROOT.glob(f"tests/kinds/test_{name}_*.py")]


def test_every_dialect_has_its_tests() -> None:
    for name in public(dialects):
        assert [*ROOT.glob(f"tests/dialects/{name}/test_*.py")], name


# --- imports ----------------------------------------------------------------------------------------------------------


def test_listing_kinds_and_engines_loads_no_heavy_library() -> None:
    program = "import sys; from mediamill import engines, kinds; kinds.load(); engines.scan(); print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert {name.partition(".")[0] for name in done.stdout.split()} & HEAVY == set()


@pytest.mark.parametrize("path", sorted((SOURCE / "core").glob("*.py")), ids=by_path)
def test_the_core_imports_the_standard_library_and_itself(path: Path) -> None:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")

    ours = {name for name in found if name == "mediamill.core" or name.startswith("mediamill.core.")}
    assert {name.partition(".")[0] for name in found - ours} <= sys.stdlib_module_names


def test_every_room_is_in_the_map() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = [path.parent.name for path in SOURCE.glob("*/__init__.py") if path.parent.name != "fonts"]

    assert [room for room in rooms if f"{room}/" not in text] == []


# --- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=by_path)
def test_a_module_is_one_noun_long(path: Path) -> None:
    lines = len(path.read_text().splitlines())

    assert lines <= LONGEST or str(path.relative_to(SOURCE)) in LONGER, f"{lines} lines: look for the second noun"


@pytest.mark.parametrize("path", MODULES, ids=by_path)
def test_a_module_says_what_it_is_and_holds_no_plans(path: Path) -> None:
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text))
    assert re.findall(r"\b(?:TODO|FIXME|XXX)\b|pragma: no cover|raise NotImplementedError", text) == []


@pytest.mark.parametrize("path", MODULES, ids=by_path)
def test_a_silenced_type_error_says_why(path: Path) -> None:
    silenced = [line for line in path.read_text().splitlines() if "# type: ignore" in line]

    # That a package ships no types is what import-untyped says already.
    bare = [line for line in silenced if not re.search(r"# type: ignore\[(import-untyped.*\]|[a-z,-]+\]  # \S)", line)]

    assert bare == []


def tracked() -> list[Path]:
    """The files of the repository: what git lists, or where it cannot, what no tool has made."""
    if shutil.which("git") and (ROOT / ".git").exists():
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
    folders = (
        ROOT / name for name in ("src", "tests", "docs", "benchmarks", "docker", "requirements", ".ci", ".github")
    )
    below = (path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return [path for path in (*ROOT.glob("*"), *below) if path.is_file()]


def test_no_file_names_a_package_registry_or_a_place_of_one_machine() -> None:
    hosts = r"(?:p[y]pi|p[y]thonhosted|n[p]mjs|cr[a]tes|rubyg[e]ms)\.(?:org|com|io)|proxy\.g[o]lang\.org"
    places = [str(place) for place in (ROOT, Path(sys.prefix), Path.home()) if len(place.parts) > 2]
    wanted = re.compile(rf"{hosts}|(?<![\w.])(?:{'|'.join(map(re.escape, places)) or '$^'})(?![\w-])".encode())

    assert [by_path(path) for path in tracked() if wanted.search(path.read_bytes())] == []


# --- what ships, and what is said of it -------------------------------------------------------------------------------


def test_types_ship() -> None:
    assert resources.files("mediamill").joinpath("py.typed").is_file()


def test_every_setting_has_help_a_default_and_its_line_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()

    for name, field in config.Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert not field.is_required(), name
        assert f"`{config.PREFIX}{name.upper()}`" in page


def test_settings_that_are_spoken_of_exist() -> None:
    known = {f"{config.PREFIX}{name.upper()}" for name in config.Settings.model_fields}
    known |= {f"{name}_FILE" for name in known}
    known |= {"MEDIAMILL_URL", "MEDIAMILL_KEY"}  # the command line's own
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docker/*")]

    spoken = {found for page in pages for found in re.findall(r"(MEDIAMILL_[A-Z_]*[A-Z])(_\*)?", page.read_text())}

    assert {name for name, star in spoken if not star} - known == set()
    assert [name for name, star in spoken if star and not any(one.startswith(name) for one in known)] == []


def test_the_drawing_of_the_states_is_the_table() -> None:
    page = (ROOT / "docs" / "states.md").read_text()
    [drawing] = re.findall(r"```mermaid\n(.*?)```", page, flags=re.DOTALL)

    drawn = set(re.findall(r"^\s*(\w+) --> (\w+)", drawing, flags=re.MULTILINE))

    assert drawn == {(state.value, after.value) for state, moves in NEXT.items() for after in moves}
    assert [state.value for state in NEXT if f"**{state.value}**" not in page] == []


def test_every_page_can_be_found_from_the_index() -> None:
    docs = ROOT / "docs"
    index = (docs / "index.md").read_text()
    linked = {(docs / link).resolve() for link in re.findall(r"\]\(([^)#\s]+)", index)}

    pages = [page for page in docs.rglob("*.md") if page.name != "index.md"]

    assert [by_path(page) for page in pages if not {page, page.parent} & linked] == []


def test_every_page_with_shell_blocks_is_run() -> None:
    runner = (ROOT / "tests" / "acceptance" / "test_docs.py").read_text()

    pages = [page for page in ROOT.glob("docs/**/*.md") if re.search(r"^\s*```sh$", page.read_text(), re.MULTILINE)]

    assert [by_path(page) for page in pages if page.name not in runner] == [], "run them there, or fence as console"


def test_the_tables_in_the_guide_to_dialects_hold() -> None:
    guide = (ROOT / "docs" / "how-to" / "add-a-dialect.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)[1:]:
        exec(block, names)

    assert [
        error for error in every_error() if not any(ancestor in names["ERRORS"] for ancestor in error.__mro__)
    ] == []
    assert {names["word"](state) for state in State} == {"pending", "processing", "done", "error", "stopped"}


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()

    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE)) <= {
        "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security",
    }  # fmt: skip
