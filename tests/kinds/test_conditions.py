"""The kind `conditions`, on real media."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image
from tests.support.images import engines

from mediamill.core.errors import Invalid
from mediamill.kinds import Context, Input, conditions

PNG = "image/png"


def judged(tmp_path: Path, asked: list[dict[str, Any]], given: Input | None, **metadata: Any) -> dict[str, Any]:
    options = msgspec.convert({"conditions": asked}, conditions.Options)
    conditions.KIND.check(options, [], engines())
    context = Context(
        inputs=[given] if given else [],
        scratch=tmp_path,
        engines=engines(),
        report=lambda stage, fraction=None: None,
        metadata=metadata,
    )
    result = conditions.KIND.run(context, options)
    assert result.outputs == []
    found: dict[str, Any] = result.details["results"]
    return found


@pytest.fixture
def picture(tmp_path: Path) -> Input:
    path = tmp_path / "in.png"
    Image.new("RGBA", (320, 200), (9, 9, 9, 9)).save(path)
    return Input(path=path, mime=PNG, filename="shop-window.png", url="https://files.example/shop-window.png")


def test_the_facts_of_the_very_file_are_judged(tmp_path: Path, picture: Input) -> None:
    asked = [
        {"prop": "kind", "value": "image"},
        {"prop": "width", "operator": "gte", "value": 320},
        {"prop": "height", "operator": "lt", "value": 201},
        {"prop": "filesize", "value": picture.path.stat().st_size},
        {"prop": "mimetype", "operator": "in", "value": [PNG, "image/webp"]},
        {"prop": "filename", "operator": "contains", "value": "window"},
        {"prop": "has_alpha", "value": True},
        {"prop": "url", "operator": "contains", "value": "files.example"},
        {"prop": "codecs.video.name", "value": "png"},
        {"prop": "duration", "operator": "exists", "value": False},
        {"prop": "metadata.order", "value": "A-17"},
    ]

    found = judged(tmp_path, asked, picture, order="A-17")

    assert found["continue"] is True, found["failed"]
    assert len(found["passed"]) == len(asked)


def test_one_that_fails_is_enough(tmp_path: Path, picture: Input) -> None:
    found = judged(
        tmp_path, [{"prop": "kind", "value": "image"}, {"prop": "width", "operator": "gt", "value": 320}], picture
    )

    assert found["continue"] is False
    assert found["failed"] == [{"prop": "width", "operator": "gt", "value": 320, "found": 320}]


def test_a_file_that_cannot_be_read_is_one_without_facts(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    given = Input(path=broken, mime=PNG, filename="broken.png")

    found = judged(tmp_path, [{"prop": "width", "operator": "exists", "value": False}], given)

    assert found["continue"] is True


def test_without_an_input_metadata_is_judged(tmp_path: Path) -> None:
    assert judged(tmp_path, [{"prop": "metadata.n", "operator": "gt", "value": 2}], None, n=3)["continue"] is True


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"conditions": []},
        {"conditions": [{"value": 1}]},
        {"conditions": [{"prop": "width", "operator": "like", "value": 1}]},
        {"conditions": [{"prop": "width", "value": 1, "surprise": 1}]},
    ],
)
def test_what_is_no_list_of_conditions_does_not_fit_the_schema(options: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, conditions.Options)


def test_a_value_that_fits_no_operator_is_refused_with_its_place() -> None:
    asked = [{"prop": "kind", "value": "video"}, {"prop": "width", "operator": "gt", "value": "wide"}]

    with pytest.raises(Invalid) as refused:
        conditions.KIND.check(msgspec.convert({"conditions": asked}, conditions.Options), [], engines())

    assert refused.value.field == "conditions.1.value"
