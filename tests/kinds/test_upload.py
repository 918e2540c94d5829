"""The kind `upload`. That the bytes arrive is shown in tests/acceptance/test_buckets.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.images import engines

from mediamill.core.errors import Invalid
from mediamill.kinds import Context, Input, upload


def test_it_names_where_its_input_is_to_go_and_copies_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    path.write_bytes(b"a picture")
    picture = Input(path=path, mime="image/png", filename="shop-window.png")
    options = upload.Options(destination="s3://media/in/", connection="c1")
    before = sorted(tmp_path.iterdir())
    context = Context(inputs=[picture], scratch=tmp_path, engines=engines(), report=lambda stage, fraction=None: None)

    assert upload.KIND.check(options, [], engines()) == options
    assert upload.KIND.destination(options) == {"url": "s3://media/in/", "connection": "c1"}
    assert upload.KIND.run(context, options).outputs == []
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("url", ["https://media/in", "s3://", "s3://media/../x", "s3://media/a//b"])
def test_no_place_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        upload.KIND.check(upload.Options(destination=url), [], engines())

    assert refused.value.field == "destination"


def test_without_a_destination_of_its_own_it_takes_the_tasks() -> None:
    options = upload.Options()

    assert upload.KIND.check(options, [], engines()) == options
    assert upload.KIND.destination(options) == {"url": "", "connection": None}
