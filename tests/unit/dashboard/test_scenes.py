"""The scene in the studio's editor: what is said of it, and at which line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediamill.dashboard import studio
from mediamill.dashboard.render import Renderer
from mediamill.dashboard.scenes import SAMPLE, line_of, look, places

HOSTILE = '<script>alert("x")</script>'
KEYS = st.text('ab"\\{}[]:,é\n', min_size=1, max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


def values(found: Any, path: str = "") -> list[str]:
    """The dotted paths of everything in a value."""
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    below = [values(value, f"{path}.{name}" if path else str(name)) for name, value in inner]
    return [path, *(one for some in below for one in some)]


def text(*elements: dict[str, Any], **more: Any) -> str:
    return json.dumps({"width": 64, "height": 64, "elements": elements, **more}, indent=1)


def test_the_scene_to_begin_with_is_sound() -> None:
    found = look(SAMPLE)

    assert (found.sound, found.notes, found.duration_s) == (True, [], 4.0)


@given(JSON, st.sampled_from([None, 1, 2]))
def test_every_value_of_any_json_has_its_line(found: Any, indent: int | None) -> None:
    written = json.dumps(found, indent=indent, ensure_ascii=False)

    where = places(written)

    assert set(where) == set(values(found))
    assert all(1 <= line <= written.count("\n") + 1 for line in where.values())
    if indent is None:
        assert set(where.values()) == {1}


def test_the_line_of_a_value_is_that_of_its_key() -> None:
    where = places('{\n "a": 1,\n "b": [\n  {"c":\n    2}\n ]\n}')

    assert {path: where[path] for path in ("", "a", "b", "b.0", "b.0.c")} == {
        "": 1,
        "a": 2,
        "b": 3,
        "b.0": 4,
        "b.0.c": 4,
    }
    assert line_of(where, "b.0.missing.deeper") == 4
    assert line_of(where, "nowhere") == 1


@pytest.mark.parametrize(
    ("scene", "path", "said"),
    [
        (text({"type": "text", "text": "x", "duration": -1}), "elements.0.duration", "must be"),
        (text({"type": "odd"}), "elements.0.type", "must be one of"),
        (text({"type": "video", "source_url": "https://a.example/x.txt"}), "elements.0.source_url", "must end in"),
        (text(width=1), "width", "must be"),
        (text({"type": "image", "id": "a"}), "elements.0.source_url", "required"),
    ],
)
def test_what_is_wrong_is_said_at_its_line(scene: str, path: str, said: str) -> None:
    found = look(scene)

    assert not found.sound
    [note] = found.notes
    assert note.path == path
    assert said in note.message
    key = path.rpartition(".")[2]
    line = scene.split("\n")[note.line - 1]
    assert f'"{key}"' in line or line.strip() == "{"


def test_every_doubt_is_said_in_the_order_of_lines() -> None:
    one = {"type": "text", "id": "a", "text": "x", "duration": 1, "colour": "#fff"}
    found = look(text({**one, "time": 9}, one, duration=5))

    assert not found.sound
    said = [(note.path, note.severity) for note in found.notes]
    for expected in (("elements.0.time", "warning"), ("elements.0.colour", "warning"), ("elements.1.id", "error")):
        assert expected in said
    assert [note.line for note in found.notes] == sorted(note.line for note in found.notes)


@pytest.mark.parametrize(
    "scene", ["", "{", "[]", "7", "NaN", '{"a": Infinity}', "[" * 100_000, '{"render_request": {}}']
)
def test_what_is_no_scene_is_said_and_never_breaks(scene: str) -> None:
    found = look(scene)

    assert not found.sound
    assert found.notes[0].severity == "error"


def test_a_syntax_error_is_at_its_line() -> None:
    assert look('{\n "a": 1\n "b": 2\n}').notes[0].line == 3


def test_notes_stay_text() -> None:
    notes = look(text({"type": "text", "text": "x", "duration": 1, HOSTILE: 1})).notes
    html = Renderer().piece("_studio.html", "notes", notes)

    assert "alert" in html
    assert "<script" not in html
    assert "<script" not in Renderer().piece("_studio.html", "seen", studio.Seen(error=HOSTILE))
