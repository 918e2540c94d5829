"""Conditions: what each operator says of each sort of value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediamill.core.conditions import OPERATORS, Condition, check, evaluate, holds, none, properties
from mediamill.core.errors import Invalid

FILM = properties(
    mime="video/mp4",
    filename="holiday.mp4",
    size_bytes=1_048_576,
    facts={
        "width_px": 1920,
        "height_px": 1080,
        "duration_s": 12.5,
        "frame_rate": 29.97,
        "bitrate_bps": 671_000,
        "video_codec": "h264",
        "video_profile": "High",
        "video_level": "4.0",
        "audio_codec": "aac",
        "audio_bitrate_bps": 128_000,
        "channels": 2,
        "sample_rate_hz": 48_000,
    },
    url="https://files.example/trips/holiday.mp4?token=a",
    metadata={"order": "A-17", "tags": ["sea", "sun"], "paid": True, "n": "10", "who": {"plan": "pro"}, "nil": None},
)


def one(prop: str, operator: str = "eq", value: Any = None, props: dict[str, Any] = FILM) -> bool:
    return bool(evaluate([Condition(prop=prop, operator=operator, value=value)], props)["continue"])


@pytest.mark.parametrize(
    ("prop", "operator", "value"),
    [
        ("kind", "eq", "video"),
        ("media.kind", "eq", "video"),
        (" width ", "eq", 1920),
        ("width", "eq", "1920"),
        ("width", "eq", 1920.0),
        ("width", "ne", 1280),
        ("width_px", "gte", 1920),
        ("height", "lt", 1081),
        ("duration", "gt", 12),
        ("duration", "lte", "12.5"),
        ("framerate", "gt", 29.9),
        ("fps", "lt", 30),
        ("bitrate", "lt", 1e6),
        ("codec", "eq", "h264"),
        ("audio_codec", "in", ["aac", "opus"]),
        ("url", "eq", "https://files.example/trips/holiday.mp4?token=a"),
        ("media.url", "contains", "files.example/"),
        ("url", "exists", True),
        ("codecs", "exists", True),
        ("codecs", "contains", "h264"),
        ("codecs", "contains", "aac"),
        ("codecs.video", "exists", True),
        ("codecs.video", "contains", "h264"),
        ("codecs.video.name", "in", ["h264", "h265"]),
        ("media.codecs.video.profile", "eq", "High"),
        ("codecs.video.level", "gte", 4),
        ("codecs.audio.name", "ne", "opus"),
        ("codecs.audio.channels", "eq", 2),
        ("codecs.audio.sample_rate", "gte", 44100),
        ("codecs.audio.bitrate", "lte", 128000),
        ("container", "eq", "mp4"),
        ("transparency", "exists", False),
        ("mimetype", "eq", "video/mp4"),
        ("type", "contains", "video/"),
        ("filename", "contains", ".mp4"),
        ("filesize", "eq", 1048576),
        ("orientation", "eq", "landscape"),
        ("sample_rate", "eq", 48000),
        ("height", "in", [720, "1080"]),
        ("width", "exists", None),
        ("width", "exists", True),
        ("pages", "exists", False),
        ("pages", "eq", None),
        ("pages", "ne", 3),
        ("pages", "in", [None, 3]),
        ("metadata.order", "eq", "A-17"),
        ("metadata.order", "contains", "17"),
        ("metadata.tags", "contains", "sun"),
        ("metadata.paid", "eq", True),
        ("metadata.paid", "eq", "true"),
        ("metadata.n", "gt", 9),
        ("metadata.who.plan", "in", ["pro", "team"]),
        ("metadata.who", "exists", True),
        ("metadata.nil", "eq", None),
        ("metadata.nil", "exists", False),
    ],
)
def test_what_holds(prop: str, operator: str, value: Any) -> None:
    assert one(prop, operator, value)


@pytest.mark.parametrize(
    ("prop", "operator", "value"),
    [
        ("kind", "eq", "image"),
        ("kind", "eq", "Video"),
        ("width", "eq", "1920px"),
        ("width", "ne", "1920"),
        ("width", "gt", 1920),
        ("duration", "lt", 12.5),
        ("pages", "gt", 0),
        ("pages", "lt", 99),
        ("pages", "exists", True),
        ("pages", "eq", ""),
        ("pages", "eq", 0),
        ("pages", "contains", ""),
        ("filename", "gt", 1),
        ("width", "contains", "19"),
        ("width", "exists", False),
        ("width", "in", []),
        ("url", "contains", "FILES"),
        ("codecs", "contains", "h26"),
        ("codecs", "contains", "opus"),
        ("codecs", "eq", "h264"),
        ("codecs.video.channels", "exists", True),
        ("codecs.subtitles", "exists", True),
        ("metadata.paid", "eq", 1),
        ("metadata.paid", "gt", 0),
        ("metadata.tags", "contains", "su"),
        ("metadata.who", "eq", "pro"),
        ("metadata.order", "eq", "a-17"),
        ("order", "exists", True),
        ("metadata", "exists", True),
        ("metadata.who.plan.x", "exists", True),
    ],
)
def test_what_does_not(prop: str, operator: str, value: Any) -> None:
    assert not one(prop, operator, value)


def test_all_must_hold_and_each_is_told() -> None:
    asked = [
        Condition(prop="kind", value="video"),
        Condition(prop="width", operator="gt", value=3000),
        Condition(prop="pages", operator="exists", value=True),
    ]

    assert evaluate(asked, FILM) == {
        "passed": [{"prop": "kind", "operator": "eq", "value": "video", "found": "video"}],
        "failed": [
            {"prop": "width", "operator": "gt", "value": 3000, "found": 1920},
            {"prop": "pages", "operator": "exists", "value": True, "found": None},
        ],
        "continue": False,
    }
    assert evaluate(asked[:1], FILM)["continue"] is True


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (9007199254740993, "9007199254740992", False),
        (9007199254740993, "9007199254740993", True),
        ("1e3", 1000, True),
        (".5", 0.5, True),
        ("1_000", 1000, False),
        ("0x10", 16, False),
        (float("inf"), "inf", True),
        ("٣", 3, False),
        ("", 0, False),
        ("+3", "3", True),
        ("03", 3, True),
    ],
)
def test_numbers_are_read_as_they_are_written(left: Any, right: Any, same: bool) -> None:
    assert holds("eq", left, right) is same


def test_a_sound_has_its_own_codec_and_no_sides() -> None:
    props = properties(
        mime="audio/mpeg", filename="a.mp3", size_bytes=1, facts={"audio_codec": "mp3", "duration_s": 3.0}, metadata={}
    )

    assert one("kind", "eq", "audio", props)
    assert one("codec", "eq", "mp3", props)
    assert one("width", "exists", False, props)
    assert one("orientation", "exists", False, props)


@pytest.mark.parametrize(("sides", "word"), [((10, 20), "portrait"), ((20, 20), "square"), ((21, 20), "landscape")])
def test_orientation_is_by_the_sides_as_shown(sides: tuple[int, int], word: str) -> None:
    facts = {"width_px": sides[0], "height_px": sides[1]}
    props = properties(mime="image/png", filename="a.png", size_bytes=1, facts=facts, metadata={})

    assert one("orientation", "eq", word, props)


def test_without_an_input_only_metadata_can_be_asked_for() -> None:
    props = none({"order": 3})

    assert one("metadata.order", "eq", "3", props)
    assert not one("kind", "exists", True, props)


def test_metadata_cannot_pass_for_a_fact_of_the_input() -> None:
    props = properties(mime="image/png", filename="a", size_bytes=1, facts={}, metadata={"kind": "video", "a.b": 1})

    assert one("kind", "eq", "image", props)
    assert one("metadata.kind", "eq", "video", props)
    assert one("metadata.a.b", "eq", 1, props)


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        (Condition(prop="  "), "conditions.0.prop"),
        (Condition(prop="media."), "conditions.0.prop"),
        (Condition(prop="width", operator="like"), "conditions.0.operator"),
        (Condition(prop="width", operator="gt", value="wide"), "conditions.0.value"),
        (Condition(prop="width", operator="lte", value=True), "conditions.0.value"),
        (Condition(prop="width", operator="in", value="1,2"), "conditions.0.value"),
        (Condition(prop="width", operator="exists", value="yes"), "conditions.0.value"),
        (Condition(prop="width", value=[1]), "conditions.0.value"),
        (Condition(prop="width", operator="contains", value={"a": 1}), "conditions.0.value"),
    ],
)
def test_what_can_never_be_answered_is_refused(condition: Condition, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check([condition])

    assert refused.value.field == field


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner))


@given(operator=st.sampled_from(OPERATORS), found=_VALUES, value=_VALUES)
def test_whatever_is_accepted_has_an_answer(operator: str, found: Any, value: Any) -> None:
    condition = Condition(prop="metadata.x", operator=operator, value=value)
    try:
        check([condition])
    except Invalid:
        return

    results = evaluate([condition], none({"x": found}))

    assert len(results["passed"]) + len(results["failed"]) == 1
    assert results["continue"] is not bool(results["failed"])


@given(found=_SCALARS, value=_SCALARS)
def test_equal_and_unequal_are_opposites_and_agree_with_a_list_of_one(found: Any, value: Any) -> None:
    assert holds("eq", found, value) is not holds("ne", found, value)
    assert holds("in", found, [value]) is holds("eq", found, value)


@given(found=st.integers() | st.floats(allow_nan=False, allow_infinity=False), value=st.integers())
def test_numbers_are_in_one_order(found: float, value: int) -> None:
    less, same, more = (holds(operator, found, value) for operator in ("lt", "eq", "gt"))

    assert [less, same, more].count(True) == 1
    assert holds("lte", found, value) is (less or same)
    assert holds("gte", found, value) is (more or same)


def test_a_sound_has_no_size_though_its_cover_has() -> None:
    facts = {"width_px": 500, "height_px": 500, "video_codec": "mjpeg", "audio_codec": "mp3", "duration_s": 2.0}
    song = properties(mime="audio/mpeg", filename="a.mp3", size_bytes=1000, facts=facts, metadata={})

    assert one("width", "exists", False, song)
    assert one("orientation", "exists", False, song)
    assert one("codec", "eq", "mp3", song)
    assert one("codecs.video", "exists", False, song)
    assert one("bitrate", "eq", 4000, song)


def test_a_still_picture_lasts_no_time_and_its_codec_is_its_format() -> None:
    facts = {"width_px": 30, "height_px": 40, "frames": 1, "has_alpha": True, "bitrate_bps": 9}
    still = properties(mime="image/png", filename="a.png", size_bytes=70, facts=facts, metadata={})
    moving = properties(mime="image/gif", filename="a.gif", size_bytes=70, facts={**facts, "frames": 5}, metadata={})

    assert one("codecs.video.name", "eq", "png", still)
    assert one("codecs.audio", "exists", False, still)
    assert one("bitrate", "exists", False, still)
    assert one("transparency", "eq", True, still)
    assert [one("animated", "eq", True, props) for props in (still, moving)] == [False, True]


def test_without_an_address_and_codecs_there_is_neither() -> None:
    text = properties(mime="text/plain", filename="a.txt", size_bytes=7, facts={}, metadata={})

    assert one("url", "exists", False, text)
    assert one("codecs", "exists", False, text)
    assert not one("codecs", "contains", "h264", text)
