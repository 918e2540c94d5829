"""The page of looks names each of them, and its pictures are there and small."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from mediamill.core import looks

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mediamill_docs_looks", ROOT / "docs" / "looks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says(made: ModuleType) -> None:
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), "run ./mill docs"


def test_the_page_names_every_look_once_in_its_table(made: ModuleType) -> None:
    # The words for motions that a text's preset may be have a table of their own.
    looked_up = re.sub(
        r"^## Names for `animation_preset`\n.*?(?=^## )", "", made.page(), flags=re.MULTILINE | re.DOTALL
    )
    rows = re.findall(r"^\| `(\w+)`", looked_up, flags=re.MULTILINE)

    assert sorted(rows) == sorted([*looks.EFFECTS, *looks.TRANSITIONS, *looks.MOTIONS, *looks.BLEND_MODES])


def test_every_group_of_looks_has_its_picture(made: ModuleType) -> None:
    shown = re.findall(r"\]\(looks/([\w-]+\.webp)\)", made.page())
    files = sorted(made.PICTURES.glob("*.webp"))

    assert sorted(shown) == [path.name for path in files]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    for path in files:
        with Image.open(path) as picture:
            assert picture.width > 400 or path.name == "effects-key.webp"


def test_a_picture_is_what_the_code_draws(made: ModuleType) -> None:
    cells = [made.effect(name) for name in looks.FAMILIES["colour"]]

    assert not made.differs(made.sheet(cells, 4, made.LARGE), made.PICTURES / "effects-colour.webp")
