"""Every field of a scene does something to the picture or the sound, or is refused: none is taken and forgotten.

The tables here are held against the tables of fields, so a field that is new has to be shown to do something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support.av import ffmpeg
from tests.support.scenes import Picture, at, run, samples, tone
from tests.support.tools import PlainTools

from mediamill.core import _composition_fields as fields
from mediamill.core import compositions, formats
from mediamill.core.compositions import Material, Render
from mediamill.core.errors import Unsupported
from mediamill.engines._compose_scene import Scene

FRAMES = (0, 3, 8)
"""Looked at, of ten."""
LABELS = frozenset({"name", "track"})
"""What the contract says is for editors, and nothing for what draws."""
FOR_DIALECTS = frozenset(fields.SENT)
"""What is told to the server rather than drawn."""

Case = tuple[Any, dict[str, Any]]
"""A value, and what else the element has so that it can be seen."""

VISUAL: Mapping[str, Case] = {
    "x": ("30%", {}),
    "y": (12, {}),
    "width": ("50%", {}),
    "height": ("40%", {"y_anchor": 0}),
    "aspect_ratio": (0.5, {"x_anchor": 0, "x": 0}),
    "x_anchor": (0, {}),
    "y_anchor": (0, {}),
    "x_rotation": (50, {}),
    "y_rotation": ("50deg", {}),
    "z_rotation": ("0.3rad", {}),
    "x_scale": ("60%", {}),
    "y_scale": (60, {}),
    "flip_horizontal": (True, {}),
    "flip_vertical": (True, {}),
    "opacity": (40, {}),
    "z_index": (-5, {}),
    "blend_mode": ("multiply", {}),
    "color_overlay": ("#ff000080", {}),
    "border_radius": (12, {"background": True}),
    "border_color": ("#ff0000", {"border_width": 3}),
    "border_width": (3, {"border_color": "#ff0000"}),
    "shadow_color": ("#ff0000", {"shadow_x": 4, "width": "40%"}),
    "shadow_blur": (5, {"shadow_color": "#ff0000", "width": "40%"}),
    "shadow_x": (5, {"shadow_color": "#ff0000", "width": "40%"}),
    "shadow_y": (5, {"shadow_color": "#ff0000", "width": "40%"}),
}
MEDIA: Mapping[str, Case] = {
    **VISUAL,
    "border_radius": (12, {}),
    **{f"crop_{edge}": (0.3, {}) for edge in ("top", "bottom", "left", "right")},
    "brightness": (40, {}),
    "contrast": (40, {}),
    "saturation": (-80, {}),
    "exposure": (40, {}),
    "hue_rotate": (90, {}),
    "sharpness": (90, {}),
    "blur": (60, {}),
    "noise": (60, {}),
    "vignette": (90, {}),
    "lut_url": (at("red.cube"), {}),
    "lut_intensity": (30, {"lut_url": at("red.cube")}),
    "effects": ([{"type": "invert"}], {}),
    "motion": ([{"type": "slide_left", "time": 0, "duration": 1}], {}),
}
SPOKEN = {"style": "color", "words": [{"text": "Tall", "start": 0, "end": 0.5}]}
TABLES: Mapping[str, Mapping[str, Case]] = {
    "video": {
        **MEDIA,
        "source_url": (at("other.mp4"), {}),
        "id": ("renamed", {}),
        "time": (0.2, {}),
        "visible": (False, {}),
        "in_point": (0.4, {}),
        "out_point": (0.3, {}),
        "speed": (2, {}),
    },
    "image": {
        **MEDIA,
        "source_url": (at("other.png"), {}),
        "id": ("renamed", {}),
        "time": (0.2, {}),
        "visible": (False, {}),
        "duration": (0.2, {}),
    },
    "text": {
        **VISUAL,
        "text": ("Small Tree", {}),
        "id": ("renamed", {}),
        "time": (0.2, {}),
        "visible": (False, {}),
        "duration": (0.2, {}),
        "width": ("20%", {}),
        "aspect_ratio": (0.3, {}),
        "font_family": ("Noto Sans", {}),
        "font_size": (9, {}),
        "font_weight": (800, {}),
        "font_style": ("italic", {}),
        "text_color": ("#ff0000", {}),
        "text_align": ("right", {}),
        "text_decoration": ("underline", {}),
        "text_wrap": ("nowrap", {"width": "20%"}),
        "tracking": (3, {}),
        "leading": (2, {"width": "20%"}),
        "stroke_color": ("#ff0000", {"stroke_width": 2}),
        "stroke_width": (2, {"stroke_color": "#ff0000"}),
        "background_color": ("#ff0000", {"background": True}),
        "background_opacity": (30, {"background": True}),
        "x_padding": (5, {"background": True}),
        "y_padding": (5, {"background": True}),
        "background": (True, {}),
        "stroke": (True, {}),
        "shadow": (True, {}),
        "word_animation": (SPOKEN, {}),
        "animation_preset": ("typewriter", {}),
        "motion": ([{"type": "slide_left", "time": 0, "duration": 1}], {}),
    },
}
MOTION: Mapping[str, Case] = {
    "type": ("fade", {}),
    "time": (0.3, {}),
    "duration": (0.2, {}),
    "easing": ("linear", {}),
    "reversed": (True, {}),
    "scope": ("character", {}),
    "delay": (0.2, {"scope": "character"}),
    "loop": (True, {"duration": 0.2}),
}
CHROMA: Mapping[str, Any] = {
    "hue_min": 150, "hue_max": 90, "sat_min": 0.99, "sat_max": 0.3, "lum_min": 0.9, "lum_max": 0.15,
}  # fmt: skip
TRANSITION: Mapping[str, Case] = {
    "type": ("wipe_left", {}),
    "duration": (0.2, {}),
    "from_id": ("front", {}),
    "to_id": ("front", {}),
    "z_index": (9, {}),
}
WORD: Mapping[str, Any] = {"text": "Tree", "start": 0.4, "end": 0.2}
HEARD: Mapping[str, Case] = {
    "source_url": (at("low.wav"), {}),
    "time": (0.2, {}),
    "visible": (False, {}),
    "in_point": (0.05, {}),
    "out_point": (0.2, {}),
    "speed": (2, {}),
    "volume": (30, {}),
    "fade_in_duration": (0.3, {}),
    "fade_out_duration": (0.3, {}),
}
ELEMENTS: Mapping[str, dict[str, Any]] = {
    "video": {"type": "video", "id": "it", "source_url": at("film.mp4")},
    "image": {"type": "image", "id": "it", "source_url": at("photo.png"), "duration": 1},
    "text": {"type": "text", "id": "it", "text": "Tall Tree", "duration": 1, "font_size": 14},
    "audio": {"type": "audio", "id": "it", "source_url": at("tone.wav"), "out_point": 0.4},
}
BEHIND = {"type": "image", "id": "front", "source_url": at("other.png"), "duration": 1, "z_index": -1, "x": "20%"}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for name, source in (("film", "testsrc2"), ("other", "smptebars")):
        ffmpeg("-f", "lavfi", "-i", f"{source}=s=64x36:r=10:d=1", "-pix_fmt", "yuv420p", folder / f"{name}.mp4")
    chance = np.random.default_rng(1)
    for name, low in (("photo", 0), ("other", 120)):
        small = Image.fromarray(chance.integers(low, low + 130, (6, 8, 3), np.uint8))
        small.resize((64, 48), Image.Resampling.NEAREST).save(folder / f"{name}.png")
    Image.new("RGB", (64, 36), (128, 128, 128)).save(folder / "grey.png")
    (folder / "red.cube").write_text("LUT_1D_SIZE 2\n1 0 0\n1 1 1\n")
    tone(folder / "tone.wav", seconds=0.5)
    tone(folder / "low.wav", hertz=110, seconds=0.5)
    return folder


@pytest.fixture(scope="module")
def drawn(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    scratch = tmp_path_factory.mktemp("scratch")
    materials = {
        at(path.name): Material(path=path, mime=found.mime if (found := formats.by_filename(path.name)) else "")
        for path in media.iterdir()
    }

    def draw(request: Mapping[str, Any]) -> list[Picture]:
        whole = {"width": 64, "height": 36, "frame_rate": 10, "duration": 1, "background_color": "#203040", **request}
        work = Render(
            scene=compositions.parse(whole),
            materials=materials,
            scratch=scratch,
            tools=PlainTools(),
            report=lambda stage, fraction=None: None,
        )
        with Scene(work) as scene:
            return [scene.picture(min(frame, scene.timeline.frames - 1)) for frame in FRAMES]

    return draw


def differs(one: list[Picture], other: list[Picture]) -> bool:
    return any(
        a.shape != b.shape or np.abs(a.astype(int) - b).max() > 24 for a, b in zip(one, other, strict=True)
    )  # fmt: skip


def cases() -> Iterator[Any]:
    for kind, table in TABLES.items():
        for name in table:
            yield pytest.param(kind, name, id=f"{kind}-{name}")


@pytest.mark.parametrize(("kind", "name"), list(cases()))
def test_a_field_of_what_is_seen_changes_the_picture(kind: str, name: str, drawn: Any) -> None:
    value, more = TABLES[kind][name]
    more = {given: of for given, of in more.items() if given in compositions.ELEMENTS[kind]}
    plain = {**ELEMENTS[kind], **more}
    cut = [{"type": "dip_to_white", "duration": 0.6, "from_id": "it", "to_id": "front"}] if name == "id" else []

    one, other = ({"elements": [element, BEHIND], "transitions": cut} for element in (plain, {**plain, name: value}))

    assert differs(drawn(one), drawn(other))


@pytest.mark.parametrize("name", sorted(HEARD))
def test_a_field_of_what_is_heard_changes_the_sound(name: str, media: Path, tmp_path: Path) -> None:
    value, more = HEARD[name]
    heard = [sound(media, tmp_path / str(number), {**ELEMENTS["audio"], **more, **changed})
             for number, changed in enumerate(({}, {name: value}))]  # fmt: skip

    assert np.abs(heard[0] - heard[1]).max() > 0.02


def sound(media: Path, folder: Path, element: Mapping[str, Any]) -> Any:
    silence = {"type": "audio", "source_url": at("low.wav"), "out_point": 0.4, "volume": 0.01}
    request = {"width": 16, "height": 16, "frame_rate": 5, "duration": 0.4, "elements": [element, silence]}
    return samples(run("render", {**request, "format": "mov"}, folder, media).path)[:, :19_000]


@pytest.mark.parametrize("name", ["volume", "fade_in_duration", "fade_out_duration"])
def test_a_clip_is_heard_as_its_fields_say(name: str, media: Path, tmp_path: Path) -> None:
    spoken = media / "spoken.mp4"
    if not spoken.exists():
        source = ("-f", "lavfi", "-i", "color=s=16x16:r=5:d=0.4", "-f", "lavfi", "-i", "sine=d=0.4")
        ffmpeg(*source, "-pix_fmt", "yuv420p", spoken)
    clip = {"type": "video", "source_url": at("spoken.mp4"), "out_point": 0.4}
    heard = [sound(media, tmp_path / str(number), {**clip, **changed})
             for number, changed in enumerate(({}, {name: HEARD[name][0]}))]  # fmt: skip

    assert np.abs(heard[0] - heard[1]).max() > 0.02


def moving(**changed: Any) -> dict[str, Any]:
    motion = {"type": "slide_left", "time": 0, "duration": 0.8, **changed}
    return {"elements": [{**ELEMENTS["text"], "motion": [motion]}]}


@pytest.mark.parametrize("name", sorted(MOTION))
def test_a_field_of_a_motion_changes_the_picture(name: str, drawn: Any) -> None:
    value, more = MOTION[name]

    assert differs(drawn(moving(**more)), drawn(moving(**{**more, name: value})))


def keyed(settings: Any, **changed: Any) -> dict[str, Any]:
    effect = {"type": "chroma_key", "chroma_settings": settings, **changed}
    return {"elements": [{**ELEMENTS["video"], "source_url": at("other.mp4"), "effects": [effect]}]}


@pytest.mark.parametrize(
    "changed", [{"type": "sepia"}, {"intensity": 0}, {"chroma_settings": {"hue_min": 200, "hue_max": 300}}]
)
def test_a_field_of_an_effect_changes_the_picture(changed: dict[str, Any], drawn: Any) -> None:
    assert differs(drawn(keyed(None)), drawn(keyed(None, **changed)))


@pytest.mark.parametrize("name", sorted(CHROMA))
def test_a_field_of_the_chroma_key_changes_the_picture(name: str, drawn: Any) -> None:
    assert differs(drawn(keyed({})), drawn(keyed({name: CHROMA[name]})))


@pytest.mark.parametrize("name", sorted(TRANSITION))
def test_a_field_of_a_transition_changes_the_picture(name: str, drawn: Any) -> None:
    value, _ = TRANSITION[name]
    one = {**ELEMENTS["image"], "duration": 0.4}
    two = {**BEHIND, "id": "next", "time": 0.4, "z_index": 0, "x": "50%"}
    front = {**ELEMENTS["text"], "id": "front", "z_index": 5, "background": True}
    cut = {"type": "dip_to_white", "duration": 0.6, "from_id": "it", "to_id": "next"}

    made = [drawn({"elements": [one, two, front], "transitions": [each]}) for each in (cut, {**cut, name: value})]

    assert differs(*made)


def test_what_mixes_with_what_is_behind_does_so_throughout_a_transition(drawn: Any) -> None:
    """Two grey pictures that darken: what is behind is never seen plain, nor hidden."""
    grey = {**ELEMENTS["image"], "source_url": at("grey.png"), "duration": 0.5}
    cut = {"type": "wipe_left", "duration": 0.4, "from_id": "it", "to_id": "next"}

    def middle(first: str, second: str) -> Picture:
        one, two = {**grey, "blend_mode": first}, {**grey, "id": "next", "time": 0.5, "blend_mode": second}
        made = drawn({"elements": [one, two], "transitions": [cut], "background_color": "#808080"})
        return np.asarray(made[1][18, 32, :3])

    assert np.abs(middle("multiply", "multiply").astype(int) - 64).max() <= 2
    assert np.abs(middle("screen", "screen").astype(int) - 192).max() <= 2
    assert np.abs(middle("multiply", "screen").astype(int) - 64).max() <= 2  # its first frame
    assert np.abs(middle("none", "none").astype(int) - 128).max() <= 2


@pytest.mark.parametrize("changed", [{"style": "box"}, *({name: value} for name, value in WORD.items())])
def test_a_field_of_a_caption_changes_the_picture(changed: dict[str, Any], drawn: Any) -> None:
    def caption(more: Mapping[str, Any]) -> dict[str, Any]:
        words = [{"text": "Tall", "start": 0, "end": 0.9, **{k: v for k, v in more.items() if k in WORD}}]
        said = {"style": more.get("style", "color"), "words": words}
        return {"elements": [{**ELEMENTS["text"], "word_animation": said}]}

    assert differs(drawn(caption({})), drawn(caption(changed)))


@pytest.mark.parametrize(
    "changed",
    [
        {"width": 80, "height": 36},
        {"width": 64, "height": 60},
        {"background_color": "#ff0000"},
        {"background_image_url": at("other.png")},
        {"transitions": [{"type": "cross_dissolve", "duration": 0.6, "from_id": "it", "to_id": "front"}]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_field_of_the_request_changes_the_picture(changed: dict[str, Any], drawn: Any) -> None:
    scene = {"elements": [{**ELEMENTS["text"], "duration": 0.4}, {**BEHIND, "time": 0.4, "width": "30%"}]}

    assert differs(drawn(scene), drawn({**scene, **changed}))


def test_the_other_fields_of_the_request_change_the_file(media: Path, tmp_path: Path) -> None:
    base: dict[str, Any] = {"width": 16, "height": 16, "duration": 0.4, "elements": [ELEMENTS["text"]]}
    changes: list[dict[str, Any]] = [
        {"frame_rate": 10},
        {"frame_rate": 5},
        {"frame_rate": 10, "duration": 0.2},
        {"frame_rate": 10, "output_format": "webm", "alpha": True, "output_filename": "mine"},
    ]
    made = [run("render", {**base, **each}, tmp_path / str(number), media) for number, each in enumerate(changes)]

    assert [one.details["frames"] for one in made] == [4, 2, 2, 4]
    assert [one.output.filename for one in made] == [*["render.mp4"] * 3, "mine.webm"]
    assert (
        b"alpha_mode" in made[3].path.read_bytes() or b"\x53\xc0" in made[3].path.read_bytes()
    )  # Matroska's AlphaMode


@pytest.mark.parametrize("kind", ["video", "image", "text"])
def test_what_nothing_is_known_of_is_refused_and_not_left_out(kind: str) -> None:
    compositions.parse({"elements": [{**ELEMENTS[kind], "clip": False}]})
    with pytest.raises(Unsupported) as refused:
        compositions.parse({"elements": [{**ELEMENTS[kind], "clip": True}]})
    assert refused.value.field == "elements.0.clip"


@cache
def shown(kind: str) -> frozenset[str]:
    return frozenset({*TABLES.get(kind, {}), *(HEARD if kind in ("audio", "video") else {})})


@pytest.mark.parametrize("kind", sorted(compositions.ELEMENTS))
def test_no_field_is_left_out_here(kind: str) -> None:
    known = set(compositions.ELEMENTS[kind]) - LABELS - set(compositions.UNSUPPORTED_FIELDS)

    assert known - shown(kind) == ({"id"} if kind == "audio" else set())
    assert shown(kind) <= known


def test_no_field_of_what_elements_hold_is_left_out_here() -> None:
    assert set(fields.MOTION) == set(MOTION)
    assert set(fields.CHROMA) == set(CHROMA)
    assert set(fields.EFFECT) == {"type", "intensity", "chroma_settings"}
    assert set(fields.TRANSITION) == set(TRANSITION)
    assert set(fields.WORD) == set(WORD)
    assert set(fields.WORDS) == {"style", "words"}
    assert set(fields.REQUEST) == {
        "width", "height", "duration", "frame_rate", "output_format", "output_filename", "background_color",
        "background_image_url", "alpha", "transitions",
    }  # fmt: skip
