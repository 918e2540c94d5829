"""A real file of every format Mediamill knows, made on the spot by tools that write the format."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

Recipe = Callable[[Path], None]


def ffmpeg(*arguments: str, audio: bool = False, video: bool = False, seconds: float = 0.5) -> Recipe:
    """A file from a sine and a test picture through the bundled ffmpeg."""

    def make(path: Path) -> None:
        import imageio_ffmpeg  # type: ignore[import-untyped]

        inputs = []
        if video:
            inputs += ["-f", "lavfi", "-i", f"testsrc2=size=176x144:rate=25:duration={seconds}"]
        if audio:
            inputs += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={seconds}"]
        argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *inputs, *arguments, str(path)]
        subprocess.run(argv, check=True)

    return make


def picture(kind: str, mode: str = "RGB", **options: object) -> Recipe:
    """A picture through Pillow."""

    def make(path: Path) -> None:
        from PIL import Image

        Image.radial_gradient("L").resize((48, 32)).convert(mode).save(path, kind, **options)

    return make


def raw(content: bytes) -> Recipe:
    """Bytes as they are."""

    def make(path: Path) -> None:
        path.write_bytes(content)

    return make


def zipped(entries: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, before: bytes = b"") -> Recipe:
    """A zip of these entries; `mimetype` is stored, as OpenDocument and EPUB want it."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.write(before)
            with zipfile.ZipFile(file, "w", method) as archive:
                for name, content in entries.items():
                    archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else method)

    return make


def pandoc(to: str, *arguments: str) -> Recipe:
    """A document through the bundled pandoc."""

    def make(path: Path) -> None:
        import pypandoc  # type: ignore[import-untyped]

        text = "---\ntitle: Specimen\n---\n\n# One\n\nSome *words*.\n"
        argv = [pypandoc.get_pandoc_path(), "-f", "markdown", "-t", to, "-s", "-o", str(path), *arguments]
        subprocess.run(argv, input=text, text=True, check=True)

    return make


def workbook(path: Path) -> None:
    import openpyxl  # type: ignore[import-untyped]

    book = openpyxl.Workbook()
    book.active["A1"] = "one"
    book.save(path)


def tar(mode: Literal["w", "w:gz"], format: int) -> Recipe:
    def make(path: Path) -> None:
        member = tarfile.TarInfo("folder/one.txt")
        member.size = 5
        with tarfile.open(path, mode, format=format) as archive:
            archive.addfile(member, io.BytesIO(b"words"))

    return make


def seven_zip(path: Path) -> None:
    import py7zr

    with py7zr.SevenZipFile(path, "w") as archive:
        archive.writestr("words", "one.txt")


def font(flavor: str | None = None, *, outlines: str = "glyf") -> Recipe:
    """A font of one glyph."""

    def make(path: Path) -> None:
        from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
        from fontTools.pens.t2CharStringPen import T2CharStringPen  # type: ignore[import-untyped]
        from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]

        builder = FontBuilder(1000, isTTF=outlines == "glyf")
        builder.setupGlyphOrder([".notdef"])
        builder.setupCharacterMap({})
        if outlines == "glyf":
            builder.setupGlyf({".notdef": TTGlyphPen(None).glyph()})
        else:
            builder.setupCFF("Specimen", {}, {".notdef": T2CharStringPen(500, None).getCharString()}, {})
        builder.setupHorizontalMetrics({".notdef": (500, 0)})
        builder.setupHorizontalHeader(ascent=800, descent=-200)
        builder.setupNameTable({"familyName": "Specimen", "styleName": "Regular"})
        builder.setupOS2()
        builder.setupPost()
        builder.font.flavor = flavor
        builder.save(path)

    return make


def compound(root: Sequence[str], nested: Sequence[str] = ()) -> Recipe:
    """An OLE2 compound file (MS-CFB) with empty streams at the root and inside a storage `ObjectPool`.

    Entries are padded so that the directory needs several sectors and the reader must follow the allocation table.
    """

    def entry(name: str, kind: int, *, right: int = 0xFFFFFFFF, child: int = 0xFFFFFFFF) -> bytes:
        text = name.encode("utf-16-le")
        return (
            text.ljust(64, b"\0")
            + struct.pack("<HBBIII", len(text) + 2, kind, 1, 0xFFFFFFFF, right, child)
            + bytes(36)
            + struct.pack("<IQ", 0xFFFFFFFE, 0)
        )

    def make(path: Path) -> None:
        top = ["ObjectPool", *[f"Filler{n}" for n in range(6)], *root]
        rows = [entry("Root Entry", 5, child=1)]
        for index, name in enumerate(top, start=1):
            right = index + 1 if index < len(top) else 0xFFFFFFFF
            inside = len(top) + 1 if name == "ObjectPool" and nested else 0xFFFFFFFF
            rows.append(entry(name, 1 if name == "ObjectPool" else 2, right=right, child=inside))
        for index, name in enumerate(nested, start=len(top) + 1):
            right = index + 1 if index < len(top) + len(nested) else 0xFFFFFFFF
            rows.append(entry(name, 2, right=right))
        directory = b"".join(rows)
        directory += entry("", 0) * (-len(rows) % 4)
        sectors = len(directory) // 512
        fat = [0xFFFFFFFD, *range(2, sectors + 1), 0xFFFFFFFE]
        fat += [0xFFFFFFFF] * (128 - len(fat))
        header = (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
            + bytes(16)
            + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
            + bytes(6)
            + struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
            + struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
        )
        path.write_bytes(header + struct.pack("<128I", *fat) + directory)

    return make


OPC = {"[Content_Types].xml": b"<Types/>", "_rels/.rels": b"<Relationships/>"}
OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
OPEN_XML = "application/vnd.openxmlformats-officedocument."
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>'
SRT = b"1\r\n00:00:01,000 --> 00:00:02,500\r\nHello\r\n"
_H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast")
_NO_TAGS = ("-id3v2_version", "0", "-write_xing", "0")

# name -> (recipe, the canonical type the bytes have on their own)
SPECIMENS: dict[str, tuple[Recipe, str | None]] = {
    "png": (picture("PNG"), "image/png"),
    "png with alpha": (picture("PNG", "RGBA"), "image/png"),
    "jpeg": (picture("JPEG"), "image/jpeg"),
    "webp": (picture("WEBP"), "image/webp"),
    "webp lossless": (picture("WEBP", lossless=True), "image/webp"),
    "avif": (picture("AVIF"), "image/avif"),
    "gif": (picture("GIF", "P"), "image/gif"),
    "tiff": (picture("TIFF"), "image/tiff"),
    "tiff big": (picture("TIFF", big_tiff=True), "image/tiff"),
    "bmp": (picture("BMP"), "image/bmp"),
    "ico": (picture("ICO"), "image/x-icon"),
    "ppm": (picture("PPM"), "image/x-portable-pixmap"),
    "pgm": (picture("PPM", "L"), "image/x-portable-graymap"),
    "pbm": (picture("PPM", "1"), "image/x-portable-bitmap"),
    "ppm as text": (raw(b"P3\n# a comment\n2 1\n# more\n255\n1 2 3 4 5 6\n"), "image/x-portable-pixmap"),
    "pgm as text": (raw(b"P2 2 1 255 1 2\n"), "image/x-portable-graymap"),
    "tga": (picture("TGA"), "image/x-tga"),
    "jp2": (picture("JPEG2000"), "image/jp2"),
    "j2k": (picture("JPEG2000", no_jp2=True), "image/jp2"),
    "jxl": (ffmpeg("-frames:v", "1", "-c:v", "libjxl", "-f", "image2", video=True), "image/jxl"),
    "jxl container": (raw(b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "), "image/jxl"),
    "svg": (raw(SVG), "image/svg+xml"),
    "svg after a prolog": (
        raw(b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- <html> -->\n<!DOCTYPE svg [<!ENTITY a "b">]>\n' + SVG),
        "image/svg+xml",
    ),
    "svg with a prefix": (raw(b'<s:svg xmlns:s="http://www.w3.org/2000/svg"/>'), "image/svg+xml"),
    "svg in utf-16": (raw(SVG.decode().encode("utf-16")), "image/svg+xml"),
    "heic": (ffmpeg(*_H264, "-brand", "heic", "-f", "mp4", video=True), "image/heic"),
    "heif of avif": (raw(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf"), "image/avif"),
    "heif": (raw(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"), "image/heic"),
    "wav": (ffmpeg("-f", "wav", audio=True), "audio/wav"),
    "rf64": (ffmpeg("-rf64", "always", "-f", "wav", audio=True), "audio/wav"),
    "wav big-endian": (raw(b"RIFX\0\0\0\x24WAVEfmt \0\0\0\x10"), "audio/wav"),
    "mp3": (ffmpeg("-f", "mp3", audio=True), "audio/mpeg"),
    "mp3 without tags": (ffmpeg(*_NO_TAGS, "-f", "mp3", audio=True), "audio/mpeg"),
    "mp3 at 22 kHz": (ffmpeg("-ar", "22050", *_NO_TAGS, "-f", "mp3", audio=True), "audio/mpeg"),
    "mp3 at 8 kHz": (ffmpeg("-ar", "8000", *_NO_TAGS, "-f", "mp3", audio=True), "audio/mpeg"),
    "mp2": (ffmpeg("-f", "mp2", audio=True), "audio/mpeg"),
    "flac": (ffmpeg("-f", "flac", audio=True), "audio/flac"),
    "ogg vorbis": (ffmpeg("-c:a", "libvorbis", "-f", "ogg", audio=True), "audio/ogg"),
    "ogg flac": (ffmpeg("-c:a", "flac", "-f", "ogg", audio=True), "audio/ogg"),
    "ogg opus": (ffmpeg("-c:a", "libopus", "-ar", "48000", "-f", "ogg", audio=True), "audio/opus"),
    "ogg theora": (ffmpeg("-c:v", "libtheora", "-f", "ogg", video=True), None),
    "aac": (ffmpeg("-c:a", "aac", "-f", "adts", audio=True), "audio/aac"),
    "m4a": (ffmpeg("-c:a", "aac", "-f", "ipod", audio=True), "audio/mp4"),
    "mp4 with sound only": (ffmpeg("-c:a", "aac", "-f", "mp4", audio=True), "audio/mp4"),
    "aiff": (ffmpeg("-f", "aiff", audio=True), "audio/aiff"),
    "wma": (ffmpeg("-c:a", "wmav2", "-f", "asf", audio=True), "audio/x-ms-wma"),
    "wmv": (ffmpeg("-c:v", "wmv2", "-c:a", "wmav2", "-f", "asf", audio=True, video=True), None),
    "mp4": (ffmpeg(*_H264, "-f", "mp4", video=True, audio=True), "video/mp4"),
    "mp4 in fragments": (
        ffmpeg(*_H264, "-movflags", "frag_keyframe+empty_moov", "-f", "mp4", video=True),
        "video/mp4",
    ),
    "mp4 without sound": (ffmpeg(*_H264, "-movflags", "+faststart", "-f", "mp4", video=True), "video/mp4"),
    "mov": (ffmpeg(*_H264, "-f", "mov", video=True, audio=True), "video/quicktime"),
    "mov of old": (raw(struct.pack(">I4s", 8, b"wide") + struct.pack(">I4s8x", 16, b"mdat")), "video/quicktime"),
    "3gp": (ffmpeg(*_H264, "-f", "3gp", video=True), "video/3gpp"),
    "webm": (ffmpeg("-c:v", "libvpx", "-f", "webm", video=True), "video/webm"),
    "mkv": (ffmpeg(*_H264, "-f", "matroska", video=True), "video/x-matroska"),
    "avi": (ffmpeg("-c:v", "mpeg4", "-f", "avi", video=True), "video/x-msvideo"),
    "mpeg program stream": (ffmpeg("-c:v", "mpeg2video", "-f", "mpeg", video=True), "video/mpeg"),
    "mpeg bare stream": (ffmpeg("-c:v", "mpeg1video", "-f", "mpeg1video", video=True), "video/mpeg"),
    "mpeg transport stream": (ffmpeg(*_H264, "-f", "mpegts", video=True), "video/mp2t"),
    "m2ts": (ffmpeg(*_H264, "-mpegts_m2ts_mode", "1", "-f", "mpegts", video=True), "video/mp2t"),
    "flv": (ffmpeg("-c:v", "flv", "-f", "flv", video=True), "video/x-flv"),
    "pdf": (picture("PDF"), "application/pdf"),
    "docx": (pandoc("docx"), OPEN_XML + "wordprocessingml.document"),
    "pptx": (pandoc("pptx"), OPEN_XML + "presentationml.presentation"),
    "xlsx": (workbook, OPEN_XML + "spreadsheetml.sheet"),
    "odt": (pandoc("odt"), OPEN_DOCUMENT + "text"),
    "ods": (
        zipped({"mimetype": (OPEN_DOCUMENT + "spreadsheet").encode(), "content.xml": b"<a/>"}),
        OPEN_DOCUMENT + "spreadsheet",
    ),
    "odp": (
        zipped({"content.xml": b"<a/>", "mimetype": (OPEN_DOCUMENT + "presentation").encode()}),
        OPEN_DOCUMENT + "presentation",
    ),
    "epub": (pandoc("epub"), "application/epub+zip"),
    "epub without mimetype": (zipped({"META-INF/container.xml": b"<a/>"}), "application/epub+zip"),
    "doc": (compound(["WordDocument", "1Table"]), "application/msword"),
    "doc with a sheet inside": (compound(["WordDocument"], ["Workbook"]), "application/msword"),
    "xls": (compound(["Workbook"]), "application/vnd.ms-excel"),
    "xls of 1995": (compound(["Book"]), "application/vnd.ms-excel"),
    "ppt": (compound(["PowerPoint Document", "Pictures"]), "application/vnd.ms-powerpoint"),
    "another compound file": (compound(["__properties_version1.0"]), None),
    "rtf": (pandoc("rtf"), "application/rtf"),
    "html": (pandoc("html", "--metadata", "title=x"), "text/html"),
    "html in capitals": (raw(b"<!-- a -->\n<HTML><body>"), "text/html"),
    "zip": (zipped({"one.txt": b"words"}), "application/zip"),
    "zip of nothing": (zipped({}), "application/zip"),
    "zip that only looks like docx": (zipped({"word/document.xml": b"<a/>"}), "application/zip"),
    "tar": (tar("w", tarfile.PAX_FORMAT), "application/x-tar"),
    "tar by gnu": (tar("w", tarfile.GNU_FORMAT), "application/x-tar"),
    "tar.gz": (tar("w:gz", tarfile.PAX_FORMAT), "application/gzip"),
    "gz": (raw(gzip.compress(b"words")), "application/gzip"),
    "7z": (seven_zip, "application/x-7z-compressed"),
    "ttf": (font(), "font/ttf"),
    "otf": (font(outlines="cff"), "font/otf"),
    "woff": (font("woff"), "font/woff"),
    "woff2": (font("woff2"), "font/woff2"),
    "vtt": (raw(b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"), "text/vtt"),
    "vtt with a mark": (raw(b"\xef\xbb\xbfWEBVTT - title\n"), "text/vtt"),
    "srt": (raw(SRT), "application/x-subrip"),
    "srt with a mark": (raw(b"\xef\xbb\xbf" + SRT), "application/x-subrip"),
    "txt": (raw("Grüße, 世界\n".encode()), "text/plain"),
    "txt in latin-1": (raw("Grüße\n".encode("latin-1")), "text/plain"),
    "txt in utf-16": (raw("Grüße, 世界\n".encode("utf-16")), "text/plain"),
    "txt in shift-jis": (raw("日本語のテキスト\n".encode("shift-jis") * 20), "text/plain"),
    "xml of another kind": (raw(b'<?xml version="1.0"?><rss></rss>'), "text/plain"),
    "executable": (raw(b"\x7fELF\x02\x01\x01\0" + bytes(200)), None),
    "noise": (raw(bytes((n * 167 + n * n * 13) % 256 for n in range(5000))), None),
    "nothing": (raw(b""), None),
}
