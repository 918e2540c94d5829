"""Transparent films and GIFs look as their previews do, on whatever they are laid, and are as transparent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.kinds.test_preview import panned
from tests.support import scenes, vision
from tests.support.scenes import at, run

SIZE = 480, 270
MOMENTS = (3, 9, 14, 20)
Plane = NDArray[Any]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    panned(folder / "cup.mp4", "cup", SIZE, beginning=0.3)
    panned(folder / "astronaut.mp4", "astronaut", SIZE, beginning=1.4)
    Image.fromarray(vision.photo("cat")).save(folder / "cat.png")
    return folder


def film(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "video", "id": name, "source_url": at(f"{name}.mp4"), **more}


TITLE = {
    "type": "text", "text": "Two days away", "duration": 0.8, "font_size": 48, "font_weight": 700, "y": "80%",
    "shadow": True, "shadow_color": "#000000c0", "shadow_x": 4, "shadow_y": 4, "shadow_blur": 6,
    "text_color": "#ffd040",
    "motion": [{"type": "slide_up", "time": 0, "duration": 0.3},
               {"type": "fade", "time": 0.5, "duration": 0.3, "reversed": True}],
}  # fmt: skip
STICKER = {
    "type": "image", "id": "cat", "source_url": at("cat.png"), "duration": 0.8, "width": "50%", "height": "50%",
    "border_radius": 30, "opacity": 70, "shadow_color": "#000000", "shadow_blur": 10, "shadow_x": 6,
    "motion": [{"type": "loop_orbit", "time": 0, "duration": 0.8}, {"type": "explode", "time": 0, "duration": 0.4}],
}  # fmt: skip
SCENES: dict[str, dict[str, Any]] = {
    "pans": {
        "elements": [
            film("cup", out_point=0.6, width="80%", height="80%", border_radius=40, z_rotation=6),
            film("astronaut", time=0.2, out_point=0.6, width="80%", height="80%"),
        ],
        "transitions": [{"type": "cross_dissolve", "duration": 0.4, "from_id": "cup", "to_id": "astronaut"}],
    },
    "sticker": {"elements": [TITLE, STICKER, film("cup", out_point=0.8, opacity=50, x="30%", width="50%")]},
    "effects": {
        "background_color": "#30609060",
        "elements": [
            film(
                "astronaut", out_point=0.8, effects=[{"type": "glitch"}, {"type": "chroma_key"}],
                motion=[{"type": "rotate_cw", "time": 0, "duration": 0.4},
                        {"type": "whip_down", "time": 0.5, "duration": 0.3, "reversed": True}],
            )
        ],
    },
}  # fmt: skip


def shown(path: Path) -> list[tuple[Plane, Plane]]:
    """The colours and the alpha of each frame, as players decode them."""
    found = []
    with av.open(str(path)) as container:
        track = container.streams.video[0]
        decoder = track.codec_context
        if path.suffix == ".webm":  # libavcodec's own leaves the transparency out
            decoder = av.CodecContext.create("libvpx-vp9", "r")
        for packet in container.demux(track):
            for frame in decoder.decode(packet if packet.size else None):
                planes = [plane_of(frame, number) for number in range(4)]
                found.append((colours(*planes[:3]), planes[3]))
    return found


def plane_of(frame: Any, number: int) -> Plane:
    """One of its planes, 0 to 255."""
    plane = frame.planes[number]
    deep = frame.format.components[0].bits > 8
    rows = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(-1, plane.line_size // (2 if deep else 1))
    most = 2 ** frame.format.components[number].bits
    return np.asarray(rows[: plane.height, : plane.width] * (255 / (most - 1) if number == 3 else 256 / most))


def colours(y: Plane, u: Plane, v: Plane) -> Plane:
    """BT.709 in video range as red, green and blue."""
    high, wide = y.shape
    u, v = (np.asarray(cv2.resize(part, (wide, high), interpolation=cv2.INTER_LINEAR)) - 128 for part in (u, v))
    luma = (y - 16) * 255 / 219
    red, blue = luma + 1.5748 * v * 255 / 224, luma + 1.8556 * u * 255 / 224
    return np.clip(np.stack([red, (luma - 0.2126 * red - 0.0722 * blue) / 0.7152, blue], axis=2), 0, 255)


def laid(colours: Plane, alpha: Plane, ground: int) -> Plane:
    """On a grey ground, its light alone, as three channels."""
    share = alpha / 255
    light = colours @ np.array([0.2126, 0.7152, 0.0722]) * share + ground * (1 - share)
    return np.repeat(light[:, :, None], 3, axis=2)


@pytest.mark.parametrize("made", ["webm", "mov"])
@pytest.mark.parametrize("name", SCENES)
def test_a_preview_of_a_transparent_film_is_its_frame(name: str, made: str, media: Path, tmp_path: Path) -> None:
    request = {"width": SIZE[0], "height": SIZE[1], "duration": 0.8, "output_format": made, "alpha": True}
    request |= SCENES[name]
    frames = shown(run("render", request, tmp_path / "film", media).path)

    alike: dict[tuple[int, str], float] = {}
    for number in MOMENTS:
        seen = run("preview", {**request, "at": number / 30}, tmp_path / str(number), media).rgba().astype(float)
        colour, alpha = frames[number]
        for ground in (0, 128, 255):
            one, other = laid(seen[:, :, :3], seen[:, :, 3], ground), laid(colour, alpha, ground)
            alike[number, f"on {ground}"] = vision.ssim(one, other)
        alphas = [np.repeat(plane[:, :, None], 3, axis=2) for plane in (seen[:, :, 3], alpha)]
        alike[number, "alpha"] = vision.ssim(alphas[0], alphas[1])
    assert min(alike.values()) >= 0.99, str({key: round(value, 4) for key, value in alike.items() if value < 0.99})


@pytest.mark.parametrize("ground", [None, "#00000000"], ids=["opaque", "clear"])
@pytest.mark.parametrize(("name", "least"), [("pans", 0.99), ("sticker", 0.99), ("effects", 0.97)])
def test_a_preview_of_a_gif_is_its_frame(
    name: str, least: float, ground: str | None, media: Path, tmp_path: Path
) -> None:
    """Of what stands for 255 colours: photographs do, a glitch tears more apart than any of them hold."""
    request = {"width": SIZE[0], "height": SIZE[1], "duration": 0.8, "frame_rate": 15, "output_format": "gif"}
    request |= SCENES[name] | ({} if ground is None else {"background_color": ground})
    made = run("render", request, tmp_path / "film", media)

    alike: dict[tuple[int, int], float] = {}
    for number in (1, 4, 7, 10):
        seen = run("preview", {**request, "at": number / 15}, tmp_path / str(number), media).rgba().astype(float)
        with Image.open(made.path) as image:
            image.seek(number)
            shown = np.array(image.convert("RGBA")).astype(float)
        assert np.array_equal(seen[:, :, 3], shown[:, :, 3])
        for grey in (0, 255):
            one, other = (laid(each[:, :, :3], each[:, :, 3], grey) for each in (seen, shown))
            alike[number, grey] = round(vision.ssim(one, other), 4)
    assert min(alike.values()) >= least, str(alike)


@pytest.mark.parametrize("made", ["webm", "mov", "png", "gif"])
def test_what_shines_through_keeps_its_colour(made: str, tmp_path: Path) -> None:
    """Half of a colour is not the colour by half."""
    scenes.flat(tmp_path / "half.png", (200, 120, 40, 153), (64, 36))
    picture = {"type": "image", "id": "p", "source_url": at("half.png"), "duration": 0.2, "width": "50%", "x": "25%"}
    request = {"width": 64, "height": 36, "duration": 0.2, "output_format": made, "background_color": "#3c78c899"}
    request |= {"elements": [picture], **({"alpha": True} if made in ("webm", "mov") else {})}

    result = run("render", request, tmp_path, tmp_path)

    if made in ("png", "gif"):
        with Image.open(result.path) as image:
            pixels = np.array(image.convert("RGBA")).astype(float)
        colour, alpha = pixels[:, :, :3], pixels[:, :, 3]
    else:
        colour, alpha = shown(result.path)[1]
    assert np.abs(colour[18, 54] - (60, 120, 200)).max() <= 5
    assert abs(alpha[18, 54] - (255 if made == "gif" else 153)) <= 2  # it knows all or nothing
    share = 0.4 * 0.6  # of the ground below the picture
    below = (np.array([200, 120, 40]) * 0.6 + np.array([60, 120, 200]) * share) / (0.6 + share)
    assert np.abs(colour[18, 16] - below).max() <= 5
