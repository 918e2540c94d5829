"""Pictures edited: sized, cut, padded and written on, from pictures, drawings, photos and moments of films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mediamill.core.pictures import Over, PictureEdit, PictureEditor, TextOver
from mediamill.core.ports import Conversion, Missing
from mediamill.engines import _animation, _ffmpeg, _film_frame, _heic_write, _picture_convert, heif, jxl, svg
from mediamill.engines._colour import to_srgb
from mediamill.engines._picture import Resize, Still, Wishes, reading
from mediamill.engines._picture_over import Laid, composed, laid, plain, text
from mediamill.engines._picture_read import PILLOW_FORMATS, read
from mediamill.engines._picture_write import in_srgb
from mediamill.engines._processor import used_s

QUALITIES: Mapping[str, Sequence[int]] = {
    "image/jpeg": (40, 62, 80, 88, 95),
    "image/webp": (40, 62, 80, 88, 95),
    "image/avif": (30, 45, 60, 72, 85),
    "image/heic": (30, 45, 60, 72, 85),
}
"""Each step of quality in the encoder's own terms; the middle is what `convert` takes by itself."""
_TARGETS = frozenset({"image/jpeg", "image/png", "image/webp", "image/avif", "image/gif"})
_PNG = "image/png"


class PictureStudio(PictureEditor):
    """See the module."""

    name = "picture_edit"
    licence = "MIT-CMU AND LGPL-3.0-or-later AND GPL-3.0-or-later"

    def missing(self) -> Missing | None:
        return _picture_convert.missing() or _ffmpeg.missing()

    def sources(self) -> frozenset[str]:
        return frozenset({*PILLOW_FORMATS, heif.MIME, svg.MIME, jxl.MIME, *_film_frame.FILMS})

    def targets(self) -> frozenset[str]:
        return _TARGETS | {_heic_write.MIME}

    def edit(self, work: PictureEdit) -> Mapping[str, Any]:
        began_s = used_s()
        placing = work.placing
        resize = Resize(width=placing.scaled_width_px, height=placing.scaled_height_px)
        source, mime = _raster(work, resize)
        with reading():
            size = placing.width_px, placing.height_px
            over = [each for each in (_laid(one, size, work, n) for n, one in enumerate(work.over)) if each]
            wanted = wishes(work.target_mime, work.level, work.flat)
            if _animation.animated(source, mime, work.target_mime):
                return {"frames": _moving(work, source, mime, over, resize, wanted)}
            still = _srgb(read(source, mime, resize, work.target_mime))
            if over or not plain(placing):
                still = Still(pixels=composed(still.pillow(), placing, work.background, over))
            if work.target_mime == _heic_write.MIME:
                _heic_write.write(
                    still.pillow(), work.target, wanted, scratch=work.scratch, tools=work.tools, report=work.report
                )
            else:
                _picture_convert.encode(work.report, still, source, work.target, work.target_mime, wanted, began_s)
        work.report("encode", 1.0)
        return {}


def wishes(target_mime: str, level: int, flat: tuple[int, int, int]) -> Wishes:
    """How a picture is written at a step of quality: without metadata, at ordinary effort."""
    steps = QUALITIES.get(target_mime)
    return Wishes(
        resize=Resize(),
        quality=steps[level] if steps else None,
        lossless=False,
        strip=True,
        background=flat,
        loop=None,
        same_format=False,
    )


def _raster(work: PictureEdit, resize: Resize) -> tuple[Path, str]:
    """The source as a file that Pillow and libvips read; drawings and films already at the wished size."""
    size = work.placing.scaled_width_px, work.placing.scaled_height_px
    if work.source_mime in _film_frame.FILMS:
        return _film_frame.frame(work.source, work.source_mime, work.at_s, size, scratch=work.scratch, tools=work.tools)
    return _opened(work.source, work.source_mime, resize, work, work.scratch)


def _opened(source: Path, mime: str, resize: Resize, work: PictureEdit, scratch: Path) -> tuple[Path, str]:
    conversion = Conversion(
        source=source,
        source_mime=mime,
        target=work.target,
        target_mime=work.target_mime,
        scratch=scratch,
        tools=work.tools,
        report=work.report,
    )
    if mime == svg.MIME:
        return svg.to_png(conversion, resize), _PNG
    if mime == heif.MIME:
        return heif.to_png(conversion), _PNG
    if mime == jxl.MIME:
        return _picture_convert.decoded(conversion, "jpegxl_anim,jpegxl_pipe", frames=None), _PNG
    return source, mime


def _laid(over: Over, size: tuple[int, int], work: PictureEdit, number: int) -> Laid | None:
    if isinstance(over, TextOver):
        return text(over, size, work.scratch)
    scratch = work.scratch / f"layer-{number}"
    scratch.mkdir(exist_ok=True)
    resize = Resize(width=over.place.width_px, height=over.place.height_px)
    source, mime = _opened(over.path, over.mime, resize, work, scratch)
    return laid(_srgb(read(source, mime, Resize(), _PNG)).pillow(), over.place, size)


def _srgb(still: Still) -> Still:
    """The same in sRGB and bare; a profile that is broken or for other channels counts for nothing, as everywhere."""
    import pyvips  # type: ignore[import-untyped]

    try:
        made = in_srgb(still).pixels
    except pyvips.Error:
        assert still.icc is not None
        made = to_srgb(still.pillow(), still.icc)
    if not isinstance(made, pyvips.Image):
        made.info = {name: made.info[name] for name in ("transparency",) if name in made.info}  # savers look in there
    return Still(pixels=made)


def _moving(work: PictureEdit, source: Path, mime: str, over: Sequence[Laid], resize: Resize, wanted: Wishes) -> int:
    from dataclasses import replace

    placing, background = work.placing, work.background
    change = _animation.Change(
        frame=lambda picture: composed(picture, placing, background, over),
        size=(placing.width_px, placing.height_px),
        see_through=placing.padded and background is None,
    )
    wanted = replace(wanted, resize=resize)
    return _animation.convert(source, mime, work.target, work.target_mime, wanted, work.report, change)


PROVIDES = (PictureStudio(),)
