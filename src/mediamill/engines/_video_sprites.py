"""The layers of a film as pictures that ffmpeg lays over it: of their size, their opacity, their place worked out.

Every one is written anew here as a PNG, so that no decoder of ffmpeg's sees a layer's own bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mediamill.core.encode import Film, Layer
from mediamill.core.errors import LimitExceeded
from mediamill.core.media import anchored
from mediamill.engines import _lettering
from mediamill.engines._video_graph import Sprite

MAX_PIXELS = 8192 * 8192
_PAPER_NITS = 203.0
"""White of text and drawings beside a film of high dynamic range (ITU-R BT.2408)."""


def draw(film: Film, size: tuple[int, int], transfer: str | None) -> list[tuple[Sprite, Path]]:
    """Every layer that leaves a mark, in order. `transfer`: the curve of the film's pictures when it is kept."""
    made = []
    for number, layer in enumerate(film.layers):
        picture = _picture(film, layer, number)
        if picture is None or layer.opacity <= 0:
            continue
        if layer.opacity < 1:
            picture.putalpha(picture.getchannel("A").point([round(value * layer.opacity) for value in range(256)]))
        if transfer is not None:
            picture = _in_curve(picture, transfer)
        path = film.scratch / f"sprite-{number}.png"
        picture.save(path, compress_level=1)
        left, top = _corner(layer, size, picture.size)
        made.append((Sprite(left_px=left, top_px=top, start_s=layer.start_s, end_s=layer.end_s), path))
    return made


def _picture(film: Film, layer: Layer, number: int) -> Any:
    """The layer as a Pillow picture in RGBA, or None for text without ink."""
    from PIL import Image

    if layer.lettering is not None:
        words = layer.lettering
        colour = words.colour.removeprefix("#")
        folder = film.scratch / f"lettering-{number}"
        folder.mkdir(exist_ok=True)
        return _lettering.lettered(
            words.text,
            font=words.font or _lettering.FAMILY,
            size_px=words.size_px,
            colour=(int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:], 16)),
            width_px=words.width_px,
            scratch=folder,
        )
    with Image.open(layer.picture or "", formats=["PNG"]) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise LimitExceeded("A layer has too many pixels.")
        picture = opened.convert("RGBA")
    wanted = _size(layer, picture.size)
    return picture if picture.size == wanted else picture.resize(wanted, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _size(layer: Layer, natural: tuple[int, int]) -> tuple[int, int]:
    width, height = layer.width_px, layer.height_px
    if width is None and height is None:
        return natural
    if width is None:
        width = round(natural[0] * (height or 1) / natural[1])
    elif height is None:
        height = round(natural[1] * width / natural[0])
    size = max(1, width), max(1, height or 1)
    if size[0] * size[1] > MAX_PIXELS:
        raise LimitExceeded("A layer would have too many pixels.")
    return size


def _corner(layer: Layer, canvas: tuple[int, int], piece: tuple[int, int]) -> tuple[int, int]:
    """Where the upper left corner lies: left and top win over right and bottom."""
    left, top = anchored(canvas, piece, layer.position)
    if layer.left_px is not None:
        left = layer.left_px
    elif layer.right_px is not None:
        left = canvas[0] - piece[0] - layer.right_px
    if layer.top_px is not None:
        top = layer.top_px
    elif layer.bottom_px is not None:
        top = canvas[1] - piece[1] - layer.bottom_px
    return left, top


_TO_2020 = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))
"""Linear BT.709 to linear BT.2020 (ITU-R BT.2087)."""


def _in_curve(picture: Any, transfer: str) -> Any:
    """sRGB into BT.2020 under PQ or HLG, white at 203 cd/m2: as it stands its white would be the sun's."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(picture, dtype=np.float32) / 255.0
    rgb, alpha = pixels[..., :3], pixels[..., 3:]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    wide = np.clip(linear @ np.array(_TO_2020, dtype=np.float32).T, 0.0, 1.0)
    if transfer == "pq":  # SMPTE ST 2084
        power = (wide * _PAPER_NITS / 10_000) ** 0.1593017578125
        coded = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:  # ARIB STD-B67: reference white is three quarters of the signal
        scene = wide * 0.265
        bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073
        coded = np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)
    made = np.concatenate([np.clip(coded, 0, 1), alpha], axis=2)
    return Image.fromarray((made * 255 + 0.5).astype(np.uint8), "RGBA")


def inputs(sprites: Sequence[tuple[Sprite, Path]]) -> list[str]:
    """The arguments that open the sprites, each a single picture."""
    args = []
    for _, path in sprites:
        args += ["-protocol_whitelist", "file", "-format_whitelist", "png_pipe", "-f", "png_pipe"]
        args += ["-i", f"file:{path.absolute()}"]
    return args
