"""Scenes by the letter of the contract: every word and default, what is refused, what is doubtful; and capabilities."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.framelane.conftest import Caller


def _words(text: str) -> list[str]:
    return text.split()


EFFECTS = _words("""
vintage polaroid portra super8 filmic add_grain film_burn light_leaks sepia duotone cross_process bleach_bypass
posterize invert night_vision thermal camera_lens_blur camera_lens_blur_bg box_blur glow lens_flare strobe_light
snow echo ghosting prism mosaic mosaic_blur mosaic_posterize cc_halftone cc_halftone_red cc_halftone_green
cc_halftone_blue rgb_split chromatic_aberration displacement_map optics_compensation viewfinder vhs vhs_overlay crt
television glitch compression_glitch scanlines chroma_key
""")
TRANSITIONS = _words("""
cross_dissolve dip_to_black dip_to_white wipe_left wipe_right wipe_up wipe_down diagonal_wipe barn_doors_horizontal
barn_doors_vertical iris page_turn cross_zoom gradient_wipe band_wipe box_wipe swirl glitch_memories window_slice
cube doorway pinwheel water_drop crosshatch dreamy angular burn heart circle_open color_phase squares_wire
""")
BOTH = _words("""
fade slide_up slide_down slide_left slide_right rotate_cw rotate_ccw bounce wipe_left wipe_right wipe_up wipe_down
""")
INTO = _words("""
zoom_in swing_in elastic_rise tilt_zoom smooth_pop blur bounce_motion explode overlay difference rubber_in whip_up
glitch_pop drift_in
""")
OUT = ["zoom_out", "swing_out", "elastic_drop", "evaporate", "whip_down", "drift_out"]
WHOLE = ["ken_burns_in", "ken_burns_out", "ken_burns_in_out"]
LOOPS = _words("""
loop_wiggle loop_rotate loop_rotate_smooth loop_3d_spin loop_3d_sway loop_orbit loop_breathe loop_shimmer
""")
CHARACTERS = _words("""
fade slide_up slide_down slide_left slide_right zoom_in bounce blur bounce_motion explode rubber_in whip_up
glitch_pop drift_in evaporate whip_down drift_out loop_breathe loop_shimmer
""")
BLENDS = _words("""
none multiply screen overlay darken lighten color_dodge color_burn hard_light soft_light
""")
STYLES = ["box", "color", "glow", "scale_pop", "slide_up", "fly_in"]
TEXT = {"type": "text", "text": "Hill", "duration": 2}
CLIP = "https://media.example.net/beach.mp4"


async def judged(call: Caller, *elements: Any, **request: Any) -> Any:
    """What a dry run says of a scene."""
    scene = {"elements": list(elements), **request}
    return await call.good("POST", "/preview", {"render_request": scene, "dry_run": True}, status=200)


async def refused(call: Caller, *elements: Any, code: str = "invalid_request", **request: Any) -> str:
    """The path of the field that a scene is refused for."""
    error = await call.error(422, code, "POST", "/renders", {"elements": list(elements), **request})
    return str(error["details"]["fields"][0]["path"] if error["details"] else error["message"])


async def test_capabilities_name_every_word_and_need_no_key(call: Caller) -> None:
    found = await call.good("GET", "/capabilities", headers={"authorization": None})

    def words(name: str) -> set[str]:
        assert all(isinstance(one["supported"], bool) for one in found[name])
        return {one["type"] for one in found[name]}

    assert found["api_version"] == "v1"
    assert (words("effects"), words("transitions")) == (set(EFFECTS), set(TRANSITIONS))
    assert (len(EFFECTS), len(TRANSITIONS)) == (46, 31)
    assert words("motions") == {*BOTH, *INTO, *OUT, *WHOLE, *LOOPS}
    assert len(words("motions")) == 43
    assert words("blend_modes") == set(BLENDS)
    assert words("word_animation_styles") == set(STYLES)
    assert words("output_formats") == {"mp4", "webm", "mov", "gif", "png", "jpg"}
    assert words("easings") == {"linear", "ease_in", "ease_out", "ease_in_out"}
    assert {one["type"]: one["supported"] for one in found["element_types"]}["composition"] is False
    assert {"video", "audio", "image", "text", "composition"} == words("element_types")
    assert found["element_fields"] == [{"type": "clip", "supported": False}]
    motions = {one["type"]: one for one in found["motions"]}
    for name, one in motions.items():
        ways = (one["entrance"], one["exit"], one["loop"], one["window"])
        assert ways == (name in (*BOTH, *INTO), name in (*BOTH, *OUT), name in LOOPS, name in WHOLE), name
        assert ("character" in one["scopes"]) is (name in CHARACTERS), name
    assert words("motion_scopes") == {"element", "character"}
    assert words("font_styles") == {"normal", "italic", "bold", "bolditalic"}
    assert words("text_aligns") == {"left", "center", "right"}
    assert words("text_decorations") == {"none", "underline", "strikethrough"}
    assert words("text_wraps") == {"wrap", "nowrap"}
    assert words("preview_modes") == {"frame", "window", "contact_sheet"}
    assert words("statuses") == {"ingesting", "queued", "processing", "completed", "failed", "cancelled"}
    assert words("progress_stages") == {"downloading", "compositing", "encoding", "uploading"}
    assert words("violations") == set(
        _words("""
        DUPLICATE_ELEMENT_ID DANGLING_TRANSITION TRANSITION_SELF EMPTY_TIMELINE ELEMENT_AFTER_END CAPTION_WORD_OUTSIDE
        NO_EFFECT
    """)
    )
    assert words("project_ops") == set(
        _words("""
        set_fields trim_element replace_request shift_element swap_source add_element remove_element reorder
        add_transition update_transition remove_transition retime_captions
    """)
    )
    assert len(words("webhook_events")) == 9
    assert "font/woff2" in words("upload_types")
    assert {"video", "audio", "image"} <= set(found["input_formats"])
    assert found["limits"]["width"] == found["limits"]["height"] == [16, 8192]
    assert (found["limits"]["frame_rate"], found["limits"]["list_limit"]) == ([1, 240], [1, 200])
    assert (found["limits"]["max_source_bytes"], found["limits"]["wait_seconds"]) == (5368709120, 25)
    assert (found["rate_limits"], found["auth"]) == ({}, {"scheme": "bearer"})
    assert found["onboarding"]["steps"]
    assert found["fonts"]
    tasks = {one["type"]: one for one in found["tasks"]}
    assert {name: one["path"] for name, one in tasks.items()} == {
        "remove_background": "/v1/tasks/remove-background",
        "gaze_redirect": "/v1/tasks/gaze-redirect",
        "super_resolution": "/v1/tasks/super-resolution",
        "transcribe": "/v1/tasks/transcribe",
    }
    scale, intensity = tasks["super_resolution"]["params"]["scale"], tasks["gaze_redirect"]["params"]["intensity"]
    assert (scale["type"], scale["min"], scale["max"], scale["default"]) == ("number", 1, 4, 2)
    assert (intensity["min"], intensity["max"], intensity["default"]) == (0, 1, 1)
    params = tasks["transcribe"]["params"]
    assert params["speech_model"]["enum"] == ["nano", "universal-2", "universal-3-pro"]
    assert (params["speakers_expected"]["min"], params["speakers_expected"]["max"]) == (1, 10)
    assert params["word_boost"]["max_items"] == 200
    assert params["word_timings"]["default"] is True
    document = await call.mill.http.get("/framelane/openapi.json")
    assert document.json()["openapi"].startswith("3.1")


async def test_every_word_that_is_on_is_taken_and_others_are_none(call: Caller) -> None:
    picture = {"type": "image", "id": "p", "source_url": "https://media.example.net/a.png", "duration": 2}
    effects = [{"type": name} for name in EFFECTS]
    motions = [{"type": name, "time": 0, "duration": 1} for name in (*BOTH, *INTO, *OUT, *WHOLE, *LOOPS)]
    letters = [
        {"type": name, "time": 0, "duration": 1, "scope": "character", "reversed": name in OUT} for name in CHARACTERS
    ]
    words = [{"text": "Hill", "start": 0, "end": 1}]

    for lot in (effects[:32], effects[32:]):
        assert (await judged(call, {**picture, "effects": list(lot)}))["ok"]
    assert (await judged(call, {**picture, "motion": motions}))["ok"]
    assert (await judged(call, {**TEXT, "motion": letters}))["ok"]
    for mode in BLENDS:
        assert (await judged(call, {**picture, "blend_mode": mode}))["ok"]
    for style in STYLES:
        assert (await judged(call, {**TEXT, "word_animation": {"style": style, "words": words}}))["ok"]
    for name in TRANSITIONS:
        cut = [{"type": name, "duration": 1, "from_id": "p", "to_id": "q"}]
        assert (await judged(call, picture, {**picture, "id": "q", "time": 2}, transitions=cut))["ok"]
    assert await refused(call, {**picture, "effects": [{"type": "x"}]}) == "elements.0.effects.0.type"
    assert await refused(call, {**picture, "blend_mode": "dissolve"}) == "elements.0.blend_mode"
    wrong = {"type": "typewriter", "time": 0, "duration": 1}
    assert await refused(call, {**picture, "motion": [wrong]}) == "elements.0.motion.0.type"
    told = {"style": "karaoke", "words": words}
    assert await refused(call, {**TEXT, "word_animation": told}) == "elements.0.word_animation.style"


@pytest.mark.parametrize(
    ("motion", "on"),
    [
        ({"type": "zoom_in", "reversed": True}, "element"),
        ({"type": "elastic_rise", "scope": "character"}, "text"),
        ({"type": "bounce_motion", "scope": "character", "reversed": True}, "text"),
        ({"type": "loop_orbit", "reversed": True}, "element"),
        ({"type": "ken_burns_in", "reversed": True}, "element"),
    ],
)
async def test_a_motion_without_that_direction_is_not_supported(call: Caller, motion: Any, on: str) -> None:
    whole = {**motion, "time": 0, "duration": 1}

    assert "motion.0" in await refused(call, {**TEXT, "motion": [whole]}, code="unsupported_feature")


async def test_a_field_that_nobody_knows_the_meaning_of_is_not_supported(call: Caller) -> None:
    assert (await judged(call, {**TEXT, "clip": False}))["violations"] == []
    for path in ("/renders", "/preview"):
        error = await call.error(422, "unsupported_feature", "POST", path, {"elements": [{**TEXT, "clip": True}]})
        assert error["details"]["fields"][0]["path"] == "elements.0.clip"


PICTURE = {"type": "image", "id": "p", "source_url": "https://media.example.net/a.png", "duration": 2}
TURN = {"type": "loop_rotate", "time": 0, "duration": 1}


@pytest.mark.parametrize(
    ("element", "path"),
    [
        ({**PICTURE, "border_width": 3}, "border_width"),
        ({**PICTURE, "border_color": "#000000"}, "border_color"),
        ({**PICTURE, "shadow_blur": "2%"}, "shadow_blur"),
        ({**PICTURE, "shadow_color": "#000000"}, "shadow_color"),
        ({**PICTURE, "lut_intensity": 50}, "lut_intensity"),
        ({**PICTURE, "crop_left": 0.6, "crop_right": 0.6}, "crop_right"),
        ({**PICTURE, "crop_top": 1}, "crop_top"),
        ({**PICTURE, "effects": [{"type": "sepia", "chroma_settings": {}}]}, "effects.0.chroma_settings"),
        ({**PICTURE, "motion": [{**TURN, "delay": 1}]}, "motion.0.delay"),
        ({**PICTURE, "motion": [{**TURN, "easing": "ease_in"}]}, "motion.0.easing"),
        ({**PICTURE, "motion": [{**TURN, "time": 2}]}, "motion.0.time"),
        ({**PICTURE, "time": 3, "motion": [{**TURN, "type": "fade"}]}, "motion.0.time"),
        ({**TEXT, "x_padding": 4}, "x_padding"),
        ({**TEXT, "background_color": "#000000"}, "background_color"),
        ({**TEXT, "stroke_width": 2}, "stroke_width"),
        ({**TEXT, "stroke_color": "#000000"}, "stroke_color"),
        ({"type": "video", "source_url": CLIP, "volume": 0, "fade_in_duration": 1}, "fade_in_duration"),
    ],
)
async def test_a_value_that_comes_to_nothing_is_told_by_its_path(call: Caller, element: Any, path: str) -> None:
    found = await judged(call, element)

    assert found["ok"]
    told = [(one["code"], one["severity"], one["path"]) for one in found["violations"]]
    assert told == [("NO_EFFECT", "warning", f"elements.0.{path}")]


async def test_a_transition_or_a_sound_that_comes_to_nothing_is_told(call: Caller) -> None:
    sound = {"type": "audio", "id": "s", "source_url": CLIP, "out_point": 1}
    cut = {"type": "iris", "duration": 1, "from_id": "p"}
    found = await judged(call, PICTURE, sound, transitions=[cut, {**cut, "to_id": "s"}], output_format="gif")

    assert found["ok"]
    told = [(one["code"], one["path"]) for one in found["violations"]]
    assert told == [("NO_EFFECT", path) for path in ("elements.1", "transitions.0.to_id", "transitions.1.to_id")]


@pytest.mark.parametrize(
    ("element", "path"),
    [
        ({"type": "image", "source_url": "https://a.example/b.png", "duration": 1}, "elements.0.id"),
        ({"type": "image", "id": "a", "source_url": "https://a.example/b.png"}, "elements.0.duration"),
        ({"type": "video", "source_url": CLIP, "in_point": 2, "out_point": 2}, "elements.0.out_point"),
        ({"type": "video", "source_url": CLIP, "speed": 0.2}, "elements.0.speed"),
        ({"type": "video", "source_url": CLIP, "volume": 101}, "elements.0.volume"),
        ({"type": "video", "source_url": "https://a.example/b?x=.mp4"}, "elements.0.source_url"),
        ({"type": "audio", "source_url": CLIP, "volume": 0}, "elements.0.volume"),
        ({"type": "audio"}, "elements.0.source_url"),
        ({**TEXT, "text": ""}, "elements.0.text"),
        ({**TEXT, "font_weight": 99}, "elements.0.font_weight"),
        ({**TEXT, "font_style": "oblique"}, "elements.0.font_style"),
        ({**TEXT, "text_align": "justify"}, "elements.0.text_align"),
        ({**TEXT, "background": True, "stroke": True}, "elements.0.stroke"),
        ({**TEXT, "word_animation": {"style": "box", "words": []}}, "elements.0.word_animation.words"),
        ({**TEXT, "x": "a lot"}, "elements.0.x"),
        ({**TEXT, "z_rotation": "5turns"}, "elements.0.z_rotation"),
        ({**TEXT, "opacity": 101}, "elements.0.opacity"),
        ({**TEXT, "track": 256}, "elements.0.track"),
        ({**TEXT, "time": -1}, "elements.0.time"),
        ({**TEXT, "text_color": "#fff"}, "elements.0.text_color"),
        ({"type": "countdown"}, "elements.0.type"),
        ({}, "elements.0.type"),
    ],
)
async def test_an_element_that_breaks_a_rule_is_422_and_named(call: Caller, element: Any, path: str) -> None:
    assert await refused(call, element) == path


@pytest.mark.parametrize(
    "element",
    [
        {**TEXT, "x": "50%", "y": "12px", "width": "300", "height": 40.5},
        {**TEXT, "x_rotation": "45deg", "y_rotation": "45°", "z_rotation": "0.5rad"},
        {**TEXT, "text_color": "#11223344", "letter_spacing": 4, "remove_background": True},
        {**TEXT, "animation_preset": "typewriter", "font_family": "Nowhere Sans"},
        {"type": "video", "source_url": "https://a.example/b.MP4?token=1"},
    ],
)
async def test_an_element_that_keeps_the_rules_is_taken(call: Caller, element: Any) -> None:
    assert (await judged(call, element))["ok"]


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        ({"alpha": True, "output_format": "mp4"}, "alpha"),
        ({"height": 90}, "width"),
        ({"output_format": "avi"}, "output_format"),
        ({"frame_rate": 29.97}, "frame_rate"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"webhook_url": "x"}, "webhook_url"),
        ({"background_image_url": "ftp://a.example/b.png"}, "background_image_url"),
        ({"transitions": [{"type": "iris", "from_id": "a", "to_id": "b"}]}, "transitions.0.duration"),
        ({"transitions": [{"type": "fade", "duration": 1}]}, "transitions.0.type"),
    ],
)
async def test_a_request_that_breaks_a_rule_is_422_and_named(call: Caller, request_: Any, path: str) -> None:
    assert await refused(call, TEXT, **request_) == path


async def test_each_violation_is_told_with_its_severity_and_place(call: Caller) -> None:
    words = {"style": "box", "words": [{"text": "Hill", "start": 1, "end": 9}]}
    found = await judged(
        call,
        {**TEXT, "id": "a", "word_animation": words},
        {**TEXT, "id": "a"},
        {**TEXT, "id": "b", "time": 30},
        duration=5,
        transitions=[
            {"type": "iris", "duration": 1, "from_id": "a", "to_id": "a"},
            {"type": "iris", "duration": 1, "from_id": "b", "to_id": "zz"},
        ],
    )

    assert found["ok"] is False
    told = {one["code"]: (one["severity"], one["path"]) for one in found["violations"]}
    assert told == {
        "DUPLICATE_ELEMENT_ID": ("error", "elements.1.id"),
        "TRANSITION_SELF": ("error", "transitions.0"),
        "DANGLING_TRANSITION": ("error", "transitions.1.to_id"),
        "ELEMENT_AFTER_END": ("warning", "elements.2.time"),
        "CAPTION_WORD_OUTSIDE": ("warning", "elements.0.word_animation.words.0"),
    }
    hidden = await judged(call, {**TEXT, "visible": False})
    assert [(one["code"], one["severity"]) for one in hidden["violations"]] == [("EMPTY_TIMELINE", "warning")]


async def test_the_stored_request_has_the_defaults_of_the_contract(call: Caller) -> None:
    scene = {
        "elements": [
            {"type": "video", "source_url": CLIP},
            {"type": "image", "id": "i", "source_url": "https://a.example/b.png", "duration": 1,
             "effects": [{"type": "sepia"}], "motion": [{"type": "fade", "time": 0, "duration": 1}]},
            {"type": "audio", "source_url": "https://a.example/b.mp3"},
            TEXT,
        ]
    }  # fmt: skip
    made = await call.good("POST", "/projects", {"render_request": scene}, status=201)

    request = (await call.good("GET", f"/projects/{made['id']}?view=full"))["render_request"]

    video, image, audio, text = request.pop("elements")
    base = {"name": None, "track": None, "time": 0, "visible": True}
    visual = {
        "x": "50%", "y": "50%", "width": "100%", "height": "100%", "aspect_ratio": None, "x_anchor": "50%",
        "y_anchor": "50%", "x_rotation": 0, "y_rotation": 0, "z_rotation": 0, "x_scale": "100%", "y_scale": "100%",
        "flip_horizontal": False, "flip_vertical": False, "opacity": 100, "z_index": 0, "blend_mode": "none",
        "clip": False, "color_overlay": None,
    }  # fmt: skip
    style = {
        "border_radius": 0, "border_color": None, "border_width": 0, "shadow_color": None, "shadow_blur": 0,
        "shadow_x": 0, "shadow_y": 0,
    }  # fmt: skip
    picture = dict.fromkeys(
        ("crop_top", "crop_bottom", "crop_left", "crop_right", "brightness", "contrast", "saturation", "exposure",
         "hue_rotate", "sharpness", "blur", "noise", "vignette"), 0,
    ) | {"lut_url": None, "lut_intensity": 100}  # fmt: skip
    sound = {"in_point": 0, "out_point": None, "speed": 1, "volume": 100, "fade_in_duration": 0, "fade_out_duration": 0}
    effect = {"type": "sepia", "intensity": 100, "chroma_settings": None}
    motion = {
        "type": "fade", "time": 0, "duration": 1, "easing": "ease_in_out", "reversed": False, "scope": "element",
        "delay": 0, "loop": False,
    }  # fmt: skip
    assert video == {
        "type": "video", "id": "", "source_url": CLIP, **base, **visual, **style, **picture, **sound, "effects": [],
        "motion": [],
    }  # fmt: skip
    assert image == {
        "type": "image", "id": "i", "source_url": "https://a.example/b.png", "duration": 1, **base, **visual, **style,
        **picture, "effects": [effect], "motion": [motion],
    }  # fmt: skip
    assert audio == {"type": "audio", "id": "", "source_url": "https://a.example/b.mp3", **base, **sound}
    assert text == {
        "type": "text", "id": "", "text": "Hill", "duration": 2, **base, **visual, "z_index": 1, **style, "motion": [],
        "font_family": "Inter", "font_size": 16, "font_weight": 400, "font_style": "normal", "text_color": "#ffffff",
        "text_align": "center", "text_decoration": "none", "text_wrap": "wrap", "tracking": 0, "leading": 1.2,
        "stroke_color": None, "stroke_width": 0, "background_color": None, "background_opacity": 100, "x_padding": 0,
        "y_padding": 0, "background": False, "stroke": False, "shadow": False, "word_animation": None,
        "animation_preset": None,
    }  # fmt: skip
    assert request == {
        "width": 1280, "height": 720, "duration": None, "frame_rate": 30, "output_format": "mp4",
        "output_filename": None, "background_color": "#000000ff", "background_image_url": None, "alpha": False,
        "transitions": [], "metadata": {}, "webhook_url": None, "ingest_external": None,
    }  # fmt: skip


async def test_a_source_of_a_scene_that_is_not_allowed_is_named_by_its_element(call: Caller, stranger: Caller) -> None:
    inside = {"type": "video", "source_url": "http://169.254.169.254/a.mp4"}
    clip = {"type": "video", "source_url": CLIP}
    assert await refused(call, TEXT, clip, inside, code="invalid_source") == "elements.2.source_url"
    upload = await stranger.good("POST", "/uploads", {"content_type": "video/mp4"}, status=201)
    theirs = {"type": "video", "source_url": upload["source_url"]}
    assert await refused(call, TEXT, theirs) == "elements.1.source_url"
    behind = {"background_image_url": "http://127.0.0.1/a.png"}
    assert await refused(call, TEXT, code="invalid_source", **behind) == "background_image_url"


async def test_of_the_ways_to_look_one_is_chosen(call: Caller) -> None:
    for body in (
        {"at": 1, "window": {"start": 0, "end": 1}},
        {"at": -1},
        {"at": "now"},
        {"window": {"start": 2, "end": 1}},
        {"contact_sheet": {"frames": 37}},
        {"dry_run": "yes"},
    ):
        scene = {"render_request": {"elements": [TEXT]}}
        await call.error(422, "invalid_request", "POST", "/preview", {**scene, **body})
        await call.error(422, "invalid_request", "POST", "/preview", {**scene, "dry_run": True, **body})
    wide = {"elements": [TEXT], "contact_sheet": {"frames": 37}}
    said = await call.error(422, "invalid_request", "POST", "/preview", wide)
    assert [field["path"] for field in said["details"]["fields"]] == ["contact_sheet.frames"]
    more = {"window": {"start": 0, "end": 1, "colour": "blue"}, "dry_run": None}
    assert (await call("POST", "/preview", {"elements": [{**TEXT, "id": 7}], **more})).status_code == 422
    assert (await judged(call, TEXT))["ok"]
