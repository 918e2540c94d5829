"""The kind `nsfw`. Real positives have no place in a test suite: what the model says of neutral pictures is tested
with the model, and what is made of its answers with a tiny one that judges by colour."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from tests.support.av import ffmpeg, film, tone
from tests.support.tools import PlainTools
from tests.support.understanding import NEUTRAL, Done, run, tiny_model

from mediamill.core import safety
from mediamill.core.errors import BadMedia, ToolFailed, Unsupported
from mediamill.core.safety import Sample, Scores
from mediamill.engines import Installed, nsfw
from mediamill.kinds import Hint
from mediamill.kinds.nsfw import KIND, Options

CLEAN = {"nudity": "none", "sexual": "none", "violence": "none", "gore": "none"}
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


@pytest.fixture
def tiny(tmp_path: Path) -> nsfw.Nsfw:
    return nsfw.Nsfw(tiny_model(tmp_path / "tiny.onnx"))


def judged(source: Path, mime: str, folder: Path, engine: nsfw.Nsfw | None = None) -> Done:
    return run(KIND, source, mime, folder / "scratch", others=[engine or nsfw.Nsfw()])


def colours(path: Path, *parts: tuple[str, float], codecs: tuple[str, ...] = H264, rate: int = 10) -> Path:
    """A film of flat colours, each for some seconds."""
    inputs = [word for name, s in parts for word in ("-f", "lavfi", "-i", f"color={name}:s=96x64:r={rate}:d={s}")]
    joined = "".join(f"[{number}:v]" for number in range(len(parts))) + f"concat=n={len(parts)}:v=1"
    ffmpeg(*inputs, "-filter_complex", joined, *codecs, path)
    return path


@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_pictures_come_out_clean(name: str, tmp_path: Path) -> None:
    source = tmp_path / f"{name}.png"
    NEUTRAL[name]().save(source)

    said = judged(source, "image/png", tmp_path).json

    assert said["severity"] == CLEAN, said["scores"]
    assert [said[key] for key in ("nudity", "sexual", "violence", "gore")] == [False] * 4
    assert (said["categories"], said["timeline"]) == ([], [])
    assert said["scores"]["nudity"] < 0.35


def test_the_answer_has_the_documented_shape_and_names_the_engine(tmp_path: Path) -> None:
    source = tmp_path / "face.png"
    NEUTRAL["face"]().save(source)

    done = judged(source, "image/png", tmp_path)

    said = done.json
    assert said["kind"] == "nsfw"
    assert said["description"].startswith("No nudity or sexual content was found.")
    assert (said["engine"], said["licence"]) == ("nsfwjs-mobilenet-v2", "MIT")
    assert (said["scores"]["violence"], said["scores"]["gore"]) == (None, None)
    assert done.details["not_judged"] == ["violence", "gore"]
    assert (done.details["engine"], done.details["licence"]) == ("nsfwjs-mobilenet-v2", "MIT")
    assert done.details["scores"] == said["scores"]
    [output] = done.result.outputs
    assert (output.filename, output.mime, output.role) == ("face.json", "application/json", "result")


# What tfjs 4.22 makes of the same pictures with the weights as nsfwjs has them; ours differed by 0.000012 at most.
TFJS = {
    "landscape": (0.2713, 0.0027, 0.7255, 0.0004, 0.0001),
    "face": (0.3073, 0.0007, 0.6919, 0.0, 0.0),
    "noise": (0.0883, 0.0072, 0.8845, 0.0176, 0.0024),
    "gradient": (0.8863, 0.0197, 0.0885, 0.0045, 0.0010),
    "bricks": (0.0573, 0.0041, 0.9363, 0.0019, 0.0004),
}


@pytest.mark.parametrize("name", TFJS)
def test_the_converted_model_says_what_the_original_says(name: str) -> None:
    picture = np.asarray(NEUTRAL[name]().resize((224, 224)))

    [scores] = nsfw._Network(nsfw.MODEL).judge([picture])

    # Pillow may draw and shrink a picture a little differently from version to version.
    assert tuple(scores.classes[label] for label in nsfw.CLASSES) == pytest.approx(TFJS[name], abs=0.02)


@pytest.mark.parametrize("name", ["jpeg", "webp", "gif", "tiff", "bmp", "avif"])
def test_every_common_picture_format_is_read(name: str, tmp_path: Path) -> None:
    source = tmp_path / f"picture.{name}"
    NEUTRAL["landscape"]().save(source, name.upper())

    said = judged(source, f"image/{name}", tmp_path).json

    assert said["severity"] == CLEAN
    assert said["timeline"] == []


def test_explicit_classes_mean_nudity_and_sexual_content_and_sexy_is_mild_at_most() -> None:
    def severities(**classes: float) -> dict[str, str]:
        whole = dict.fromkeys(nsfw.CLASSES, 0.0) | classes
        return {name: safety.severity(score) for name, score in nsfw.scores(whole).categories.items()}

    assert severities(porn=0.97, neutral=0.03) == {"nudity": "severe", "sexual": "severe"}
    assert severities(hentai=0.75, drawing=0.25) == {"nudity": "moderate", "sexual": "moderate"}
    assert severities(porn=0.3, hentai=0.25, neutral=0.45) == {"nudity": "mild", "sexual": "mild"}
    assert severities(sexy=1.0) == {"nudity": "none", "sexual": "mild"}
    assert severities(porn=0.45, sexy=0.5) == {"nudity": "none", "sexual": "moderate"}
    assert severities(neutral=0.8, drawing=0.2) == {"nudity": "none", "sexual": "none"}


def test_severities_begin_at_their_steps() -> None:
    assert [safety.severity(score) for score in (0.0, 0.499, 0.5, 0.699, 0.7, 0.899, 0.9, 1.0)] == [
        *("none", "none", "mild", "mild", "moderate", "moderate", "severe", "severe")
    ]


def test_a_flagged_picture_names_category_and_severity(tiny: nsfw.Nsfw, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), (255, 0, 0)).save(tmp_path / "red.png")

    said = judged(tmp_path / "red.png", "image/png", tmp_path, tiny).json

    assert (said["nudity"], said["sexual"], said["categories"]) == (True, True, ["nudity", "sexual"])
    assert said["severity"] == {"nudity": "severe", "sexual": "severe", "violence": "none", "gore": "none"}
    assert said["description"].startswith("Likely shows severe nudity and severe sexual content.")
    assert said["timeline"] == []


def test_see_through_parts_count_as_white(tiny: nsfw.Nsfw, tmp_path: Path) -> None:
    Image.new("RGBA", (60, 40), (255, 0, 0, 0)).save(tmp_path / "clear.png")

    assert judged(tmp_path / "clear.png", "image/png", tmp_path, tiny).json["categories"] == []


def test_a_film_says_when_something_shows(tiny: nsfw.Nsfw, tmp_path: Path) -> None:
    source = colours(tmp_path / "film.mp4", ("lime", 3), ("red", 4), ("lime", 4), ("blue", 3))

    done = judged(source, "video/mp4", tmp_path, tiny)

    said = done.json
    assert said["severity"] == {"nudity": "severe", "sexual": "severe", "violence": "none", "gore": "none"}
    spans = [(one["category"], one["severity"], one["start"], one["end"]) for one in said["timeline"]]
    assert [span[:2] for span in spans] == [("nudity", "severe"), ("sexual", "severe"), ("sexual", "mild")]
    for (_, _, start, end), (wanted_start, wanted_end) in zip(spans, [(3, 7), (3, 7), (11, 14)], strict=True):
        assert start == pytest.approx(wanted_start, abs=1.0)
        assert end == pytest.approx(wanted_end, abs=1.0)
    assert done.details["sampling"]["how"] == "every second"


def test_a_clean_film_comes_out_clean(tmp_path: Path) -> None:
    said = judged(film(tmp_path / "film.mp4", *H264, seconds=3), "video/mp4", tmp_path).json

    assert (said["severity"], said["timeline"]) == (CLEAN, [])


def test_progress_of_a_film_is_told_for_every_second_and_never_goes_back(tiny: nsfw.Nsfw, tmp_path: Path) -> None:
    source = colours(tmp_path / "film.mp4", ("lime", 20))

    told = [f for _, f in judged(source, "video/mp4", tmp_path, tiny).reports if f is not None]

    assert told == sorted(told)
    assert told[-1] == 1.0
    seconds = [f for f in told if 0 < f < 0.99]
    assert len(seconds) >= 18
    steps = [after - before for before, after in itertools.pairwise(seconds)]
    assert max(steps) <= 0.1
    assert seconds[0] <= 0.5  # the loading of the model, which is most of so little work


def test_a_long_film_is_looked_at_by_its_keyframes(
    tiny: nsfw.Nsfw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nsfw, "ALL_UP_TO_S", 8.0)
    source = colours(tmp_path / "film.mp4", ("lime", 6), ("red", 6), ("lime", 6), codecs=(*H264, "-g", "20"))

    done = judged(source, "video/mp4", tmp_path, tiny)

    assert done.details["sampling"]["how"] == "keyframes"
    [stretch, _] = done.json["timeline"]
    assert (stretch["start"], stretch["end"]) == (pytest.approx(6, abs=1), pytest.approx(12, abs=1))


def test_keyframes_too_far_apart_are_not_trusted(
    tiny: nsfw.Nsfw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nsfw, "ALL_UP_TO_S", 8.0)
    parts = (("lime", 8), ("red", 4), ("lime", 14))
    source = colours(tmp_path / "film.mp4", *parts, codecs=(*H264, "-g", "9999", "-sc_threshold", "0"))

    done = judged(source, "video/mp4", tmp_path, tiny)

    assert done.details["sampling"]["how"] == "every second"
    [stretch, _] = done.json["timeline"]
    assert (stretch["start"], stretch["end"]) == (pytest.approx(8, abs=1), pytest.approx(12, abs=1))
    told = [f for _, f in done.reports if f is not None]
    assert told == sorted(told)


def test_an_animation_is_looked_at_frame_by_frame(tiny: nsfw.Nsfw, tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (48, 48), colour) for colour in ("lime", "lime", "red", "red", "lime")]
    for name in ("gif", "webp", "png"):
        source = tmp_path / f"moving.{name}"
        more = {"lossless": True} if name == "webp" else {}
        pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=1000, **more)

        said = judged(source, f"image/{name}", tmp_path, tiny).json

        assert said["nudity"] is True, name
        assert said["timeline"][0]["start"] == pytest.approx(2, abs=1), name


def test_a_film_shorter_than_a_second_is_looked_at(tiny: nsfw.Nsfw, tmp_path: Path) -> None:
    source = colours(tmp_path / "film.mp4", ("red", 0.3))

    said = judged(source, "video/mp4", tmp_path, tiny).json

    assert said["categories"] == ["nudity", "sexual"]
    assert 0 < said["timeline"][0]["end"] <= 0.5


def scored(*nudity: float) -> list[Sample]:
    return [
        Sample(start_s=at, end_s=at + 1, scores=Scores(categories={"nudity": score}, classes={}))
        for at, score in enumerate(nudity)
    ]


def test_a_lone_weak_slip_in_a_film_is_not_believed_and_a_strong_one_is() -> None:
    assert safety.timeline(scored(0.1, 0.6, 0.1)) == []
    assert safety.worst(scored(0.1, 0.6, 0.1))["nudity"] < 0.5
    [stretch] = safety.timeline(scored(0.1, 0.95, 0.1))
    assert (stretch.start_s, stretch.end_s, stretch.severity) == (1, 2, "severe")


def test_a_gap_of_one_sample_does_not_end_a_stretch() -> None:
    [stretch] = safety.timeline(scored(0.8, 0.8, 0.1, 0.8, 0.95, 0.1, 0.1))
    assert (stretch.start_s, stretch.end_s, stretch.severity) == (0, 5, "severe")
    assert len(safety.timeline(scored(0.8, 0.8, 0.1, 0.1, 0.8, 0.8))) == 2


def test_a_model_of_another_shape_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    model = tiny_model(tmp_path / "tiny.onnx", classes=4)

    with pytest.raises(ToolFailed, match="other classes"):
        judged(tmp_path / "red.png", "image/png", tmp_path, nsfw.Nsfw(model))


def test_a_model_that_is_none_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    (tmp_path / "broken.onnx").write_bytes(b"nothing of the kind")

    with pytest.raises(ToolFailed, match="cannot be loaded"):
        judged(tmp_path / "red.png", "image/png", tmp_path, nsfw.Nsfw(tmp_path / "broken.onnx"))


def test_the_kind_is_off_without_its_model(tmp_path: Path) -> None:
    lacking = KIND.missing(Installed((), (), PlainTools(), (nsfw.Nsfw(tmp_path / "none.onnx"),)))

    assert lacking is not None
    assert "model" in lacking.reason


def test_sounds_and_documents_are_refused(tmp_path: Path) -> None:
    installed = Installed((), (), PlainTools(), (nsfw.Nsfw(),))

    with pytest.raises(Unsupported, match="neither a picture nor a video"):
        KIND.check(Options(), [Hint(mime="audio/mpeg")], installed)
    with pytest.raises(BadMedia, match="no video track"):
        judged(tone(tmp_path / "tone.mp4", "-c:a", "aac", seconds=1), "video/mp4", tmp_path)


def test_bytes_that_are_no_picture_are_bad_media(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 200)

    with pytest.raises(BadMedia):
        judged(tmp_path / "picture.png", "image/png", tmp_path)


def test_there_is_nothing_to_choose() -> None:
    with pytest.raises(msgspec.ValidationError, match="threshold"):
        msgspec.convert({"threshold": 0.5}, Options)


def test_the_model_file_is_the_one_the_notice_names() -> None:
    notice = (Path(__file__).parents[2] / "NOTICE").read_text()

    assert hashlib.sha256(nsfw.MODEL.read_bytes()).hexdigest() in notice
    assert "Infinite Red" in nsfw.MODEL.with_suffix(".LICENSE").read_text()
