"""The kind `optimise` over the real picture engines: smaller or the same file, never larger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.images import apart, engines, scene

from mediamill.core.errors import Invalid, Unsupported
from mediamill.kinds import Context, Hint, Input, Result, optimise


def run(picture: Path, mime: str, scratch: Path, **settings: object) -> Result:
    source = Input(path=picture, mime=mime, filename=picture.name)
    scratch.mkdir()
    context = Context(inputs=[source], scratch=scratch, engines=engines(), report=lambda stage, fraction=None: None)
    return optimise.KIND.run(context, optimise.Options(**settings))  # type: ignore[arg-type]  # settings vary


def test_a_wasteful_png_gets_smaller_and_stays_the_same_picture(tmp_path: Path) -> None:
    picture = tmp_path / "wasteful.png"
    Image.fromarray(scene()).save(picture, compress_level=0)

    result = run(picture, "image/png", tmp_path / "work")

    [made] = result.outputs
    assert made.path.stat().st_size < picture.stat().st_size / 2
    with Image.open(made.path) as seen:
        assert apart(np.asarray(seen.convert("RGB")), scene()) == 0


def test_a_file_that_cannot_get_smaller_comes_back_as_it_was(tmp_path: Path) -> None:
    picture = tmp_path / "plain.jpg"
    Image.fromarray(scene()).save(picture)
    lean = run(picture, "image/jpeg", tmp_path / "first").outputs[0].path

    result = run(lean, "image/jpeg", tmp_path / "second")

    [made] = result.outputs
    assert result.details["kept_original"] is True
    assert made.path == lean  # which is stored by a link, and not read
    assert made.filename == lean.name


def test_what_is_asked_for_is_done_though_the_file_grows(tmp_path: Path) -> None:
    picture = tmp_path / "lean.jpg"
    Image.fromarray(scene()).save(picture, quality=5)

    result = run(picture, "image/jpeg", tmp_path / "work", quality=95)

    assert "kept_original" not in result.details
    assert result.outputs[0].path.stat().st_size > picture.stat().st_size


def test_a_type_that_has_no_smaller_self_is_refused_before_it_is_queued() -> None:
    with pytest.raises(Unsupported) as refused:
        optimise.KIND.check(optimise.Options(), [Hint(mime="application/x-unheard-of")], engines())

    assert isinstance(refused.value, Invalid)
