"""The options of the kind `video`: what is refused, where, and before anything is queued."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.tools import PlainTools

from mediamill import engines
from mediamill.core.errors import Invalid, Unsupported
from mediamill.core.tasks import Source
from mediamill.kinds import video as kind


def options(**given: Any) -> kind.Options:
    return msgspec.convert(given, kind.Options)


@pytest.mark.parametrize(("container", "codec"), [("webm", "h264"), ("mp4", "vp9"), ("mov", "av1"), ("mov", "vp9")])
def test_other_pairs_are_refused(container: str, codec: str) -> None:
    with pytest.raises(Unsupported) as caught:
        kind.KIND.check(options(format=container, codec=codec), [], engines.open(PlainTools()))
    assert caught.value.field == "codec"


def test_keeping_the_range_needs_a_codec_that_has_it() -> None:
    for codec, container in (("h264", "mp4"), ("vp9", "webm")):
        with pytest.raises(Unsupported) as caught:
            kind.KIND.check(options(codec=codec, format=container, hdr="keep"), [], engines.open(PlainTools()))
        assert caught.value.field == "hdr"


@pytest.mark.parametrize("word", ["avi", "mkv", "gif", "", "mp4 ;x", "../mp4"])
def test_a_container_outside_the_list_is_told_apart(word: str) -> None:
    with pytest.raises(Unsupported) as caught:
        kind.KIND.check(options(format=word), [], engines.open(PlainTools()))
    assert caught.value.field == "format"
    assert "mp4, webm, mov" in caught.value.reason


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"start": 2, "end": 2}, "end"),
        ({"end": 0}, "end"),
        ({"width": "0%"}, "width"),
        ({"subtitle_style": "burn_in"}, "subtitle_style"),
        ({"subtitle_url": "http://x", "subtitle_file": "file_1"}, "subtitle_file"),
        ({"layers": [{"kind": "image"}]}, "layers.0.url"),
        ({"layers": [{"kind": "image", "url": "http://x", "file": "file_1"}]}, "layers.0.url"),
        ({"layers": [{"kind": "text", "text": "a", "start": 2, "end": 1}]}, "layers.0.end"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        kind.KIND.check(options(**given), [], engines.open(PlainTools()))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "given",
    [
        {"bitrate": 299_999},
        {"bitrate": 60_000_001},
        {"fps": 0.5},
        {"fps": 61},
        {"fit": "crop"},
        {"position": "middle"},
        {"background": "red"},
        {"frames": 0},
        {"start": -1},
        {"codec": "mpeg4"},
        {"hdr": "on"},
        {"subtitle_style": "sidecar"},
        {"layers": [{"kind": "movie", "url": "http://x"}]},
        {"layers": [{"kind": "text", "text": "a", "opacity": 2}]},
        {"volume": 2},
    ],
)
def test_other_values_are_no_options(given: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        options(**given)


def test_the_codec_is_settled_when_the_task_is_taken() -> None:
    installed = engines.open(PlainTools())

    assert kind.KIND.check(options(), [], installed).codec == "h264"
    assert kind.KIND.check(options(format="webm"), [], installed).codec == "vp9"
    assert kind.KIND.check(options(format="MOV"), [], installed).format == "mov"


def test_what_options_name_is_fetched_in_order() -> None:
    given = options(
        layers=[
            {"kind": "image", "file": "file_1"},
            {"kind": "text", "text": "a"},
            {"kind": "image", "url": "http://b"},
        ],
        subtitle_url="http://c",
    )

    assert kind.KIND.attachments(given) == [Source(file="file_1"), Source(url="http://b"), Source(url="http://c")]
    assert kind.KIND.attachments(options()) == []
