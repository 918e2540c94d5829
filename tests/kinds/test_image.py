"""The kind `image` on pictures: what comes out is decoded by another library and compared."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.support import images
from tests.support.av import ffmpeg
from tests.support.images import apart, clear, scene, seen
from tests.support.media_kinds import run
from tests.support.tools import PlainTools

from mediamill import engines
from mediamill.core.errors import BadMedia, Invalid, LimitExceeded, NoVideo, Unsupported
from mediamill.core.tasks import Source
from mediamill.kinds import Hint
from mediamill.kinds.image import KIND, Options

TARGETS = {"jpeg": "jpg", "png": "png", "webp": "webp", "avif": "avif", "gif": "gif", "heic": "heic"}
SOURCES = ("png", "jpeg", "webp", "avif", "gif", "heic", "svg", "tiff", "jxl")
Pixels = images.Pixels
RED, BLACK = np.array([255, 0, 0]), np.array([0, 0, 0])


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scenes")
    return {name: images.made(folder, name) for name in SOURCES}


def look(path: Path) -> Pixels:
    """RGB or RGBA by a decoder that did not write it."""
    if path.suffix != ".heic":
        return seen(path)
    step = path.with_suffix(".seen.png")
    ffmpeg("-i", path, "-frames:v", "1", "-update", "1", step)
    return np.asarray(Image.open(step).convert("RGB"))


def at(pixels: Pixels, x: int, y: int) -> Pixels:
    return pixels[y, x, :3].astype(int)


def near(found: Pixels, wanted: Any, within: int = 12) -> bool:
    return bool(np.abs(found - np.asarray(wanted)).max() <= within)


def picture(path: Path, colour: tuple[int, ...], size: tuple[int, int] = (60, 40)) -> Path:
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(path)
    return path


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_every_picture_becomes_every_format_at_half_its_size(
    source: str, target: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    done = run("image", sources[source], tmp_path / "work", format=target, width="50%")

    assert done.result.filename == f"scene.{TARGETS[target]}"
    pixels = look(done.result.path)
    assert pixels.shape[:2] == (60, 80)
    expected = np.asarray(Image.fromarray(scene()).resize((80, 60), Image.Resampling.LANCZOS))
    assert apart(pixels, expected) < 8
    assert done.reports[-1][1] == 1.0
    told = [fraction for _, fraction in done.reports if fraction is not None]
    assert told == sorted(told)


def test_the_format_is_the_inputs_own_by_default(sources: dict[str, Path], tmp_path: Path) -> None:
    made = {name: run("image", sources[name], tmp_path / name).result.mime for name in ("webp", "heic", "svg", "tiff")}

    assert made == {"webp": "image/webp", "heic": "image/heic", "svg": "image/png", "tiff": "image/png"}


def test_both_sides_stretch_cover_or_contain(sources: dict[str, Path], tmp_path: Path) -> None:
    whole = scene()

    fill = look(run("image", sources["png"], tmp_path / "fill", width=120, height=120).result.path)
    cover = look(run("image", sources["png"], tmp_path / "cover", width=120, height=120, fit="cover").result.path)
    left = look(
        run("image", sources["png"], tmp_path / "left", width=120, height=120, fit="cover", position="left").result.path
    )
    contain = look(
        run(
            "image",
            sources["png"],
            tmp_path / "contain",
            width=160,
            height=160,
            fit="contain",
            position="bottom",
            background="#FF0000",
        ).result.path
    )

    assert apart(fill, np.asarray(Image.fromarray(whole).resize((120, 120), Image.Resampling.LANCZOS))) < 2
    assert np.array_equal(cover[..., :3], whole[:, 20:140])
    assert np.array_equal(left[..., :3], whole[:, :120])
    assert contain.shape[:2] == (160, 160)
    assert np.array_equal(contain[40:, :, :3], whole)
    assert near(at(contain, 80, 20), RED)


def test_padding_is_see_through_where_the_format_can_be_and_black_elsewhere(
    sources: dict[str, Path], tmp_path: Path
) -> None:
    for target in ("png", "webp", "avif", "gif"):
        made = look(
            run(
                "image", sources["jpeg"], tmp_path / target, format=target, width=90, height=90, fit="contain"
            ).result.path
        )
        assert made[2, 45, 3] == 0
        assert made[45, 45, 3] == 255
    for target in ("jpeg", "heic"):
        made = look(
            run(
                "image", sources["png"], tmp_path / target, format=target, width=90, height=90, fit="contain"
            ).result.path
        )
        assert near(at(made, 45, 2), BLACK)


def test_what_is_see_through_stays_or_is_filled(tmp_path: Path) -> None:
    source = images.save(tmp_path / "clear.png", clear())

    kept = look(run("image", source, tmp_path / "webp", format="webp", width=80).result.path)
    filled = look(run("image", source, tmp_path / "jpeg", format="jpeg", background="#FF0000").result.path)

    assert kept[30, 5, 3] == 0
    assert near(at(filled, 10, 60), RED)


def test_it_comes_out_upright_in_srgb_and_without_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "secret"
    lab_like = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = _swapped_red_and_green(lab_like)
    source = tmp_path / "turned.jpg"
    Image.fromarray(scene()).save(source, quality=95, subsampling=0, exif=exif, icc_profile=swapped)

    for target in ("jpeg", "png", "webp", "avif"):
        path = run("image", source, tmp_path / target, format=target).result.path
        with Image.open(path) as made:
            assert made.size == (120, 160)
            assert "icc_profile" not in made.info
            assert not made.getexif()
            assert b"secret" not in path.read_bytes()
            turned = np.rot90(scene(), k=-1)[..., [1, 0, 2]]
            assert apart(np.asarray(made.convert("RGB")), np.ascontiguousarray(turned)) < 8


def _swapped_red_and_green(profile: bytes) -> bytes:
    """The sRGB profile with the tags of two primaries exchanged: a colour space in which red is green."""
    count = int.from_bytes(profile[128:132], "big")
    tags = bytearray(profile[132 : 132 + 12 * count])
    at = {bytes(tags[n : n + 4]): n for n in range(0, len(tags), 12)}
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    tags[red + 4 : red + 12], tags[green + 4 : green + 12] = tags[green + 4 : green + 12], tags[red + 4 : red + 12]
    # The name is what tells a true sRGB profile: this one has another.
    return (
        (profile[:132] + bytes(tags) + profile[132 + 12 * count :])
        .replace(b"s\0R\0G\0B", b"o\0R\0G\0B")
        .replace(b"sRGB", b"oRGB")
    )


def test_better_quality_is_larger_and_nearer(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (120, 160, 3), np.uint8)
    source = images.save(tmp_path / "noise.png", noise)

    for target in ("jpeg", "webp", "avif", "heic"):
        sizes = [
            run("image", source, tmp_path / f"{target}-{quality}", format=target, quality=quality)
            .result.path.stat()
            .st_size
            for quality in ("very_low", "low", "medium", "high", "very_high", 0, 100)
        ]
        assert sizes[:5] == sorted(set(sizes[:5])), target
        assert (sizes[5], sizes[6]) == (sizes[0], sizes[4])


@pytest.mark.parametrize("size", [(61, 41), (2, 2), (300, 7)])
def test_heic_photos_of_any_size_are_read_by_ffmpeg_and_by_our_own_reader(
    size: tuple[int, int], tmp_path: Path
) -> None:
    source = picture(tmp_path / "flat.png", (200, 40, 90), size)

    made = run("image", source, tmp_path / "work", format="heic").result.path

    pixels = look(made)
    # ffmpeg 9 cuts odd sides down to even ones; the box of the shown part is right, as libheif and the next lines say.
    assert pixels.shape[:2] == (size[1] // 2 * 2, size[0] // 2 * 2)
    assert near(pixels[..., :3].reshape(-1, 3).astype(int), (200, 40, 90), 6)
    facts = engines.open(PlainTools()).probe(made, "image/heic")
    assert (facts.width_px, facts.height_px) == size


@pytest.mark.parametrize("size", [(1025, 300), (1300, 1100)])
def test_a_large_heic_photo_is_made_of_tiles_that_show_no_seam(size: tuple[int, int], tmp_path: Path) -> None:
    across, down = np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1])
    slope = np.stack([*np.meshgrid(across, down), np.full(size[::-1], 90)], axis=2).round().astype(np.uint8)
    source = images.save(tmp_path / "slope.png", slope)

    made = run("image", source, tmp_path / "work", format="heic").result.path

    pixels = look(made)[..., :3]
    shown = slope[: pixels.shape[0], : pixels.shape[1]]
    assert shown.shape[0] >= size[1] - 1
    assert shown.shape[1] >= size[0] - 1
    assert np.abs(pixels.astype(int) - shown).max() <= 10
    facts = engines.open(PlainTools()).probe(made, "image/heic")
    assert (facts.width_px, facts.height_px) == size
    assert b"grid" in made.read_bytes()[:4096]


def test_pictures_are_laid_over_in_order_at_their_place_and_strength(tmp_path: Path) -> None:
    ground = picture(tmp_path / "ground.png", (0, 0, 0), (200, 100))
    red, blue = picture(tmp_path / "red.png", (255, 0, 0)), picture(tmp_path / "blue.webp", (0, 0, 255))
    layers = [
        {"kind": "image", "url": "https://pictures.example/red.png", "left": 10, "top": 20},
        {"kind": "image", "file": "file_1", "left": 40, "top": 30, "width": "10%", "height": 20, "opacity": 0.5},
        {"kind": "image", "url": "https://pictures.example/red.png", "right": -30, "bottom": 0},
    ]

    done = run("image", ground, tmp_path / "work", red, blue, red, format="png", layers=layers)

    pixels = look(done.result.path)
    assert near(at(pixels, 15, 25), RED)
    assert near(at(pixels, 9, 25), BLACK)
    assert near(at(pixels, 45, 40), (127, 0, 127))
    assert near(at(pixels, 62, 40), RED)
    assert near(at(pixels, 199, 99), RED)
    assert near(at(pixels, 169, 99), BLACK)
    assert pixels.shape == (100, 200, 3)


def test_the_pictures_of_layers_are_fetched_as_inputs_are() -> None:
    options = msgspec.convert(
        {
            "layers": [
                {"kind": "image", "url": "https://pictures.example/a.png"},
                {"kind": "text", "text": "between"},
                {"kind": "image", "file": "file_7"},
            ]
        },
        Options,
    )

    assert KIND.attachments(options) == [Source(url="https://pictures.example/a.png"), Source(file="file_7")]


def ink(path: Path) -> tuple[int, int, int, int]:
    """The box of what is not black."""
    with Image.open(path) as made:
        box = made.convert("L").point(lambda value: 255 if value > 60 else 0).getbbox()
    assert box is not None
    return box


def test_text_lies_where_it_is_put_and_breaks_at_its_width(tmp_path: Path) -> None:
    ground = picture(tmp_path / "ground.png", (0, 0, 0), (300, 150))

    def drawn(name: str, **layer: Any) -> Path:
        text = {"kind": "text", "font_size": 24, "color": "#FFEE00", **layer}
        return run("image", ground, tmp_path / name, format="png", layers=[text]).result.path

    one = drawn("one", text="Grist to the mill", left=10, top=10)
    two = drawn("two", text="Grist to the mill", left=10, top=10, width=100)
    last = drawn("last", text="mill", position="bottom_right")

    left, top, right, bottom = ink(one)
    assert abs(left - 10) <= 2
    assert abs(top - 10) <= 2
    assert 140 < right < 240
    assert bottom < 40
    assert ink(two)[2] < 115
    assert ink(two)[3] > 60
    assert near(np.array(ink(last)[2:]), (300, 150), 2)
    colours = seen(one)
    assert near(colours[..., :3].reshape(-1, 3).max(axis=0).astype(int), (255, 238, 0))


SCRIPTS = ["Mill", "Мельница", "مطحنة", "מלון", "चक्की", "โรงสี", "製粉所", "방앗간", "მელი"]


def test_every_script_is_drawn_in_letters_and_not_in_boxes(tmp_path: Path) -> None:
    ground = picture(tmp_path / "ground.png", (0, 0, 0), (400, 80))

    def drawn(number: int, text: str) -> Pixels:
        layer = {"kind": "text", "text": text, "font_size": 32, "left": 10, "top": 10}
        made = seen(run("image", ground, tmp_path / f"{number}-{len(text)}", format="png", layers=[layer]).result.path)
        return np.asarray(made[..., 0]) > 100

    for number, text in enumerate(SCRIPTS, start=1):
        letters = drawn(number, text)
        boxes = drawn(number, "\ue123" * len(text))  # no font has this: the box that stands for it, as often
        assert boxes.sum() > 50
        assert letters.sum() > 50, text
        assert not np.array_equal(letters, boxes), text


def test_letters_join(tmp_path: Path) -> None:
    """Beh is narrower where it joins the next letter than alone."""
    ground = picture(tmp_path / "ground.png", (0, 0, 0), (300, 80))

    def width(number: int, text: str) -> int:
        layer = {"kind": "text", "text": text, "font_size": 40, "left": 10, "top": 10}
        box = ink(run("image", ground, tmp_path / str(number), format="png", layers=[layer]).result.path)
        return box[2] - box[0]

    assert width(1, "\u0628\u0628\u0628") < 0.8 * 3 * width(2, "\u0628")


def test_names_of_fonts_and_markup_in_text_are_only_text(tmp_path: Path) -> None:
    ground = picture(tmp_path / "ground.png", (0, 0, 0), (300, 80))
    layer = {"kind": "text", "font_size": 24, "font": "' size='90000'/><b>", "left": 0, "top": 0}

    tagged = run("image", ground, tmp_path / "a", format="png", layers=[{**layer, "text": "<b>&amp;</b>\x07"}])
    bare = run("image", ground, tmp_path / "b", format="png", layers=[{**layer, "text": "&"}])

    assert ink(tagged.result.path)[2] > 3 * ink(bare.result.path)[2]
    assert ink(tagged.result.path)[3] < 40


@pytest.mark.parametrize("target", ["gif", "webp"])
def test_what_moves_goes_on_moving(target: str, tmp_path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    frames = [Image.new("RGB", (40, 30), colour) for colour in colours]
    source = tmp_path / "moving.gif"
    frames[0].save(source, save_all=True, append_images=frames[1:], duration=200, loop=0)
    layer = {"kind": "text", "text": "M", "font_size": 14, "left": 0, "top": 0}

    done = run("image", source, tmp_path / "work", format=target, width=60, height=60, fit="contain", layers=[layer])

    assert done.details["frames"] == 3
    with Image.open(done.result.path) as made:
        assert (made.size, getattr(made, "n_frames", 1)) == ((60, 60), 3)
        for number, colour in enumerate(colours):
            made.seek(number)
            shown = np.asarray(made.convert("RGBA")).astype(int)
            assert near(shown[30, 30, :3], colour, 16)
            assert shown[55, 30, 3] == 0
            assert shown[:14, :14, 3].max() == 255


def test_a_picture_of_a_moving_one_is_its_first_frame_where_the_format_cannot_move(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    source = tmp_path / "moving.gif"
    frames[0].save(source, save_all=True, append_images=frames[1:], duration=200)

    assert near(at(look(run("image", source, tmp_path / "work", format="jpeg").result.path), 20, 15), RED)


def test_a_broken_picture_and_no_picture_at_all_are_told_apart(tmp_path: Path) -> None:
    whole = images.save(tmp_path / "whole.png", scene()).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "words.txt").write_text("no picture")
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", tmp_path / "tone.wav")

    with pytest.raises(BadMedia) as cut:
        run("image", tmp_path / "cut.png", tmp_path / "a")
    with pytest.raises(BadMedia):
        run("image", tmp_path / "words.txt", tmp_path / "b", format="png")
    with pytest.raises(NoVideo):
        run("image", tmp_path / "tone.wav", tmp_path / "c", format="png")

    assert not isinstance(cut.value, NoVideo)
    assert str(tmp_path) not in str(cut.value)


def test_a_layer_that_is_no_picture_is_refused_by_number(sources: dict[str, Path], tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.2", tmp_path / "film.mp4")
    layers = [{"kind": "image", "url": "https://films.example/film.mp4"}]

    with pytest.raises(BadMedia, match="Layer 1"):
        run("image", sources["png"], tmp_path / "work", tmp_path / "film.mp4", layers=layers)


@pytest.mark.parametrize(
    ("options", "field", "error"),
    [
        ({"format": "tiff"}, "format", Unsupported),
        ({"format": "nonsense"}, "format", Unsupported),
        ({"width": "0%"}, "width", Invalid),
        ({"layers": [{"kind": "image"}]}, "layers.0.url", Invalid),
        ({"layers": [{"kind": "image", "url": "https://a.example/", "file": "x"}]}, "layers.0.url", Invalid),
        ({"sprite": {"interval": 1, "count": 2}}, "sprite.count", Invalid),
        ({"sprite": {}, "width": 100}, "width", Invalid),
        ({"sprite": {}, "format": "heic"}, "format", Unsupported),
    ],
)
def test_wrong_options_are_refused_before_anything_is_queued(
    options: dict[str, Any], field: str, error: type[Invalid]
) -> None:
    with pytest.raises(error) as refused:
        KIND.check(msgspec.convert(options, Options), [Hint(mime="image/png")], engines.open(PlainTools()))

    assert refused.value.field == field


@pytest.mark.parametrize(
    "options",
    [
        {"width": 0},
        {"width": 8193},
        {"width": "fifty"},
        {"quality": 101},
        {"fit": "zoom"},
        {"background": "red"},
        {"start": -1},
        {"layers": [{"kind": "video", "url": "x"}]},
        {"depth": 3},
    ],
)
def test_options_of_another_shape_are_refused_by_the_schema(options: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, Options)


def test_a_picture_is_never_made_larger_than_the_limit_by_the_ratio(tmp_path: Path) -> None:
    source = picture(tmp_path / "thin.png", (1, 2, 3), (4000, 2))

    with pytest.raises(LimitExceeded):
        run("image", source, tmp_path / "work", height=100)


def test_the_jpeg_is_as_good_as_pillows_own(sources: dict[str, Path], tmp_path: Path) -> None:
    done = run("image", sources["png"], tmp_path / "work", format="jpeg")

    own = io.BytesIO()
    Image.fromarray(scene()).save(own, "JPEG", quality=80, optimize=True)
    with Image.open(own) as expected:
        assert apart(look(done.result.path), np.asarray(expected)) < 1.5
