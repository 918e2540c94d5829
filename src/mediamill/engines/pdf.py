"""PDF to page pictures, to text and to documents that can be edited; PDF to a smaller PDF.

PDFium reads, draws and takes the text out; pandoc writes documents from it; qpdf (in pikepdf) packs a PDF tighter.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import BadMedia
from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines import _document_files as files
from mediamill.engines import _document_write, _pages, _pandoc

if TYPE_CHECKING:
    import pikepdf

LEAST_PICTURE_BYTES = 16_384


class Pdf:
    """See the module. Implements core.ports.Converter."""

    name = "pdf"

    def pairs(self) -> Mapping[Pair, int]:
        targets = (files.PDF, *_pages.PICTURES, *_document_write.WRITERS)
        return {(files.PDF, target): 40 for target in targets}

    def missing(self) -> Missing | None:
        return _pandoc.missing()

    def keys(self, pair: Pair) -> frozenset[str]:
        if pair[1] == files.PDF:
            return frozenset({"quality", "strip"})
        return _pages.keys(pair[1]) if pair[1] in _pages.PICTURES else frozenset()

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        files.check(work.source, work.source_mime)
        if work.target_mime in _pages.PICTURES:
            return _pages.draw(work, work.source)
        if work.target_mime == files.PDF:
            return _packed(work)
        return _said(work)


def _said(work: Conversion) -> Mapping[str, Any]:
    """The text, or a document made of text and pictures."""
    import pypdfium2  # type: ignore[import-untyped]

    from mediamill.engines import _pdf_text

    media = work.scratch / "media"
    try:
        with _pages.opened(work.source) as document:
            count = len(document)
            if work.target_mime == files.TXT:
                text = _pdf_text.plain(document, work.report)
            else:
                tree, _ = _pdf_text.tree(document, media, work.report)
    except pypdfium2.PdfiumError as error:
        raise BadMedia("The PDF is damaged: not all of its pages can be read.") from error
    if work.target_mime == files.TXT:
        if not text.strip():
            raise BadMedia("The PDF holds no text: its pages are pictures.")
        work.target.write_text(text, encoding="utf-8")
        return {"pages": count}
    if not tree["blocks"]:
        raise BadMedia("The PDF holds no text and no pictures.")
    return {"pages": count, **_document_write.write(work, tree, media)}


def _packed(work: Conversion) -> Mapping[str, Any]:
    """The same pages in fewer bytes: streams packed, unused parts left out; pictures only touched when asked."""
    import pikepdf

    logging.getLogger("pikepdf").setLevel(logging.ERROR)
    try:
        with pikepdf.open(work.source) as document:
            count = len(document.pages)
            if count == 0:
                raise BadMedia("The PDF has no pages.")
            quality = work.settings.get("quality")
            smaller = _repictured(document, int(quality)) if quality is not None else 0
            if work.settings.get("strip", False):
                _stripped(document)
            document.remove_unreferenced_resources()
            work.report("encode", 0.6)
            document.save(
                work.target,
                compress_streams=True,
                recompress_flate=True,
                object_stream_mode=pikepdf.ObjectStreamMode.generate,
                linearize=False,
            )
    except pikepdf.PasswordError as error:
        raise BadMedia("The PDF is protected by a password.") from error
    except (pikepdf.PdfError, RecursionError) as error:
        raise BadMedia("The PDF is damaged.") from error
    return {"pages": count, **({"pictures": smaller} if quality is not None else {})}


def _stripped(document: pikepdf.Pdf) -> None:
    """Drop who made it and with what; the pages stay."""
    if "/Metadata" in document.Root:
        del document.Root["/Metadata"]
    if "/Info" in document.trailer:
        del document.trailer["/Info"]


def _repictured(document: pikepdf.Pdf, quality: int) -> int:
    """Write photos anew as JPEG where that is smaller; returns how many."""
    import pikepdf
    from PIL import Image

    changed = 0
    for item in document.objects:
        if not isinstance(item, pikepdf.Stream) or item.get("/Subtype") != "/Image" or item.get("/ImageMask", False):
            continue
        before = len(item.read_raw_bytes())
        pixels = int(item.get("/Width", 0)) * int(item.get("/Height", 0))
        if before < LEAST_PICTURE_BYTES or pixels > _pages.MAX_PIXELS or "/Mask" in item or "/Decode" in item:
            continue
        try:
            image = pikepdf.PdfImage(item).as_pil_image()
            if image.mode not in ("RGB", "L"):
                continue
            out = BytesIO()
            image.save(out, "JPEG", quality=quality, optimize=True)
        except (pikepdf.PdfError, Image.DecompressionBombError, OSError, ValueError, NotImplementedError):
            continue  # a picture in a form that Pillow cannot hold stays as it is
        if out.tell() < before:
            item.write(out.getvalue(), filter=pikepdf.Name.DCTDecode)
            item.ColorSpace = pikepdf.Name.DeviceRGB if image.mode == "RGB" else pikepdf.Name.DeviceGray
            item.BitsPerComponent = 8
            changed += 1
    return changed


CONVERTER = Pdf()
