"""libwebp, which says after every line of blocks how far it is, by the copy of it that Pillow has loaded.

Pillow and libvips write the same bytes, but hand on nothing, or no number, of that. Source of the structures:
webp/encode.h of libwebp, whose layout is one and the same since version 0.6 (ABI 0x02..); it refuses another itself.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mediamill.core.errors import ToolFailed

_ABI = 0x020F
_DEFAULTS = {"quality": 75.0, "method": 4, "segments": 4, "sns_strength": 50, "alpha_quality": 100, "qmax": 100}
"""By these a structure is known to be laid out as here."""
_MAPS = Path("/proc/self/maps")
_ICC, _ALPHA, _EXIF, _XMP = 0x20, 0x10, 0x08, 0x04

_Hook = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


class _Config(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_float if name in ("quality", "target_psnr") else ctypes.c_int)
        for name in (
            *("lossless", "quality", "method", "image_hint", "target_size", "target_psnr", "segments", "sns_strength"),
            *("filter_strength", "filter_sharpness", "filter_type", "autofilter", "alpha_compression"),
            *("alpha_filtering", "alpha_quality", "passes", "show_compressed", "preprocessing", "partitions"),
            *("partition_limit", "emulate_jpeg_size", "thread_level", "low_memory", "near_lossless", "exact"),
            *("use_delta_palette", "use_sharp_yuv", "qmin", "qmax"),
        )
    )


class _Picture(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("use_argb", "colorspace", "width", "height")),
        *((name, ctypes.c_void_p) for name in ("y", "u", "v")),
        *((name, ctypes.c_int) for name in ("y_stride", "uv_stride")),
        ("a", ctypes.c_void_p),
        ("a_stride", ctypes.c_int),
        ("pad1", ctypes.c_uint32 * 2),
        ("argb", ctypes.c_void_p),
        ("argb_stride", ctypes.c_int),
        ("pad2", ctypes.c_uint32 * 3),
        ("writer", ctypes.c_void_p),
        ("custom_ptr", ctypes.c_void_p),
        ("extra_info_type", ctypes.c_int),
        ("extra_info", ctypes.c_void_p),
        ("stats", ctypes.c_void_p),
        ("error_code", ctypes.c_int),
        ("progress_hook", _Hook),
        ("user_data", ctypes.c_void_p),
        ("pad3", ctypes.c_uint32 * 3),
        *((name, ctypes.c_void_p) for name in ("pad4", "pad5")),
        ("pad6", ctypes.c_uint32 * 8),
        *((name, ctypes.c_void_p) for name in ("memory", "memory_argb")),
        ("pad7", ctypes.c_void_p * 2),
        ("beyond", ctypes.c_uint8 * 256),  # should a later version need more
    )


class _Written(ctypes.Structure):
    _fields_ = (
        ("mem", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("max_size", ctypes.c_size_t),
        ("pad", ctypes.c_uint32),
        ("beyond", ctypes.c_uint8 * 64),
    )


@cache
def library() -> Any:
    """libwebp, or None where Pillow brings none that is known here."""
    import PIL
    from PIL import features

    if not features.check("webp"):
        return None
    try:
        mapped = {Path(line.split()[-1]) for line in _MAPS.read_text().splitlines() if "/libwebp" in line}
        found = [path for path in mapped if path.name.startswith(("libwebp-", "libwebp.so"))]
        # OpenCV may have brought another; Pillow's lies beside it in a wheel, and is the system's where Pillow is.
        beside = Path(PIL.__file__).parent.parent / "pillow.libs"
        [path] = [path for path in found if path.parent == beside] or found
        loaded = ctypes.CDLL(str(path))
        config, picture = _Config(), _Picture()
        fit = (
            loaded.WebPConfigInitInternal(ctypes.byref(config), 0, ctypes.c_float(75.0), _ABI)
            and loaded.WebPPictureInitInternal(ctypes.byref(picture), _ABI)
            and all(getattr(config, name) == value for name, value in _DEFAULTS.items())
        )
        # All that is called below is there.
        _ = loaded.WebPPictureImportRGB, loaded.WebPPictureImportRGBA, loaded.WebPMemoryWriterClear
        _ = loaded.WebPValidateConfig, loaded.WebPEncode, loaded.WebPPictureFree
        ctypes.c_void_p.in_dll(loaded, "WebPMemoryWrite")
    except (OSError, ValueError, AttributeError):
        return None
    return loaded if fit else None


def encode(
    picture: Any,
    metadata: Mapping[str, bytes],
    *,
    quality: float,
    method: int,
    lossless: bool,
    tell: Callable[[int], None],
) -> bytes:
    """An RGB or RGBA picture of Pillow's, as Pillow itself would write it. `tell` gets libwebp's per cent, in this
    thread. Raises ToolFailed."""
    webp = library()
    config, image, written = _Config(), _Picture(), _Written()
    webp.WebPConfigInitInternal(ctypes.byref(config), 0, ctypes.c_float(quality), _ABI)
    webp.WebPPictureInitInternal(ctypes.byref(image), _ABI)
    config.lossless = config.exact = int(lossless)
    config.quality, config.method = quality, method
    if not webp.WebPValidateConfig(ctypes.byref(config)):
        raise ToolFailed("libwebp takes no such settings.")
    failed: list[BaseException] = []

    def hook(percent: int, _: int | None) -> int:
        try:
            tell(percent)
        except BaseException as error:  # it must not go through libwebp, and goes on after it
            failed.append(error)
        return int(not failed)

    image.use_argb, (image.width, image.height) = 1, picture.size
    image.progress_hook = _Hook(hook)
    image.writer = ctypes.cast(webp.WebPMemoryWrite, ctypes.c_void_p)
    image.custom_ptr = ctypes.addressof(written)
    bands = len(picture.getbands())
    take = webp.WebPPictureImportRGBA if bands == 4 else webp.WebPPictureImportRGB
    try:
        done = take(ctypes.byref(image), picture.tobytes(), bands * picture.width)
        done = done and webp.WebPEncode(ctypes.byref(config), ctypes.byref(image))
        if failed:
            raise failed[0]
        if not done:
            raise ToolFailed(f"libwebp cannot write the picture: error {image.error_code}.")
        made = ctypes.string_at(written.mem, written.size)
    finally:
        webp.WebPPictureFree(ctypes.byref(image))
        webp.WebPMemoryWriterClear(ctypes.byref(written))
    return _with(made, metadata, picture.size) if metadata else made


def _with(made: bytes, metadata: Mapping[str, bytes], size: tuple[int, int]) -> bytes:
    """The file with its blocks of metadata, in the extended format of the container's specification."""
    chunks = dict(_chunks(made))
    clear = b"ALPH" in chunks or (b"VP8L" in chunks and bool(chunks[b"VP8L"][4] & 0x10))
    chunks.pop(b"VP8X", None)
    before = {b"ICCP": metadata.get("icc_profile")}
    after = {b"EXIF": _bare(metadata.get("exif")), b"XMP ": metadata.get("xmp")}
    flags = _ALPHA * clear
    flags |= _ICC * bool(before[b"ICCP"]) | _EXIF * bool(after[b"EXIF"]) | _XMP * bool(after[b"XMP "])
    sides = b"".join(struct.pack("<I", side - 1)[:3] for side in size)
    body = _chunk(b"VP8X", struct.pack("<I", flags) + sides)
    for kind, data in [*before.items(), *chunks.items(), *after.items()]:
        body += _chunk(kind, data) if data else b""
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _bare(exif: bytes | None) -> bytes | None:
    return exif.removeprefix(b"Exif\0\0") if exif else None


def _chunks(made: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 12
    while at + 8 <= len(made):
        kind, size = struct.unpack_from("<4sI", made, at)
        found.append((kind, made[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
