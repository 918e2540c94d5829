"""Hundreds of files that are not what they should be: cut, flipped, misnamed, blown up, polyglot. Made by recipe."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support.specimens import SPECIMENS


@dataclass(frozen=True, slots=True)
class Bad:
    """One file, what it is called and claimed to be, and what to make of it.

    must_fail: no decoder may make anything of it. Otherwise what is left of it may be good enough for one.
    """

    label: str
    filename: str
    content: bytes
    to: str
    must_fail: bool
    mime: str = "application/octet-stream"


# specimen -> (ending, target); every family, and the formats with the most parser behind them
WHOLE = {
    "png": ("png", "jpeg"),
    "jpeg": ("jpg", "png"),
    "webp": ("webp", "png"),
    "avif": ("avif", "png"),
    "gif": ("gif", "png"),
    "tiff": ("tiff", "png"),
    "bmp": ("bmp", "png"),
    "ico": ("ico", "png"),
    "heic": ("heic", "png"),
    "svg": ("svg", "png"),
    "ppm": ("ppm", "png"),
    "tga": ("tga", "png"),
    "jp2": ("jp2", "png"),
    "jxl": ("jxl", "png"),
    "wav": ("wav", "mp3"),
    "mp3": ("mp3", "wav"),
    "flac": ("flac", "wav"),
    "ogg vorbis": ("ogg", "wav"),
    "ogg opus": ("opus", "wav"),
    "aac": ("aac", "wav"),
    "m4a": ("m4a", "wav"),
    "aiff": ("aiff", "wav"),
    "wma": ("wma", "wav"),
    "mp4": ("mp4", "jpeg"),
    "mov": ("mov", "jpeg"),
    "webm": ("webm", "jpeg"),
    "mkv": ("mkv", "jpeg"),
    "avi": ("avi", "jpeg"),
    "mpeg program stream": ("mpg", "jpeg"),
    "mpeg transport stream": ("ts", "jpeg"),
    "3gp": ("3gp", "jpeg"),
    "flv": ("flv", "jpeg"),
    "pdf": ("pdf", "txt"),
    "docx": ("docx", "txt"),
    "pptx": ("pptx", "txt"),
    "odt": ("odt", "txt"),
    "epub": ("epub", "txt"),
    "rtf": ("rtf", "txt"),
    "xlsx": ("xlsx", "csv"),
    "zip": ("zip", "tar"),
    "tar": ("tar", "zip"),
    "tar.gz": ("tar.gz", "zip"),
    "7z": ("7z", "zip"),
    "ttf": ("ttf", "woff"),
    "otf": ("otf", "woff"),
    "woff": ("woff", "ttf"),
    "woff2": ("woff2", "ttf"),
}
CUT_IS_FATAL = frozenset(
    {"png", "jpeg", "webp", "gif", "tiff", "bmp", "ppm", "ico", "docx", "pptx", "odt", "epub", "xlsx", "zip", "tar.gz"}
    | {"7z", "ttf", "otf", "woff", "woff2", "mp4", "m4a", "mov", "3gp", "avif", "jxl"}
)
"""Half of such a file is nothing: its index is at the end, or a decoder that makes up the rest would lie.

A beginning without a NUL is good plain text, and is converted as such.
"""


def all_of_them() -> list[Bad]:
    """Every bad file, always the same ones in the same order."""
    whole = _whole()
    return [
        *_cut(whole),
        *_flipped(whole),
        *_misnamed(whole),
        *_bombs(whole),
        *_giants(),
        *_playlists(),
        *_polyglots(whole),
        *_broken_inside(),
    ]


def good_picture(n: int = 0) -> bytes:
    """A small sound PNG; each number has its own pixels."""
    rows = b"".join(b"\0" + bytes((n * 7 + x * 5 + y * 3) % 256 for x in range(24)) for y in range(8))
    return png(8, 8, zlib.compress(rows))


def _whole() -> dict[str, bytes]:
    def make(name: str) -> bytes:
        path = folder / f"{name}.{WHOLE[name][0]}"
        SPECIMENS[name][0](path)
        return path.read_bytes()

    with tempfile.TemporaryDirectory() as made, ThreadPoolExecutor(4) as pool:
        folder = Path(made)
        return dict(zip(WHOLE, pool.map(make, WHOLE), strict=True))


def _cut(whole: dict[str, bytes]) -> Iterator[Bad]:
    for name, content in whole.items():
        ending, to = WHOLE[name]
        for part in (0.02, 0.5, 0.95):
            kept = max(1, int(len(content) * part))
            fatal = name in CUT_IS_FATAL and part <= 0.5 and b"\0" in content[:kept]
            yield Bad(f"{name} cut to {part:.0%}", f"cut.{ending}", content[:kept], to, fatal)


def _flipped(whole: dict[str, bytes]) -> Iterator[Bad]:
    for name, content in whole.items():
        ending, to = WHOLE[name]
        for seed in range(3):
            dice = random.Random(f"{name} {seed}")
            flipped = bytearray(content)
            for _ in range(1 + len(content) // 200 * seed):
                flipped[dice.randrange(len(flipped))] ^= 1 << dice.randrange(8)
            yield Bad(f"{name} flipped {seed}", f"flipped.{ending}", bytes(flipped), to, must_fail=False)


def _misnamed(whole: dict[str, bytes]) -> Iterator[Bad]:
    noise = random.Random(5).randbytes(3000)
    for name, (ending, to) in WHOLE.items():
        mime = SPECIMENS[name][1] or "application/octet-stream"
        yield Bad(f"noise as {name}", f"noise.{ending}", noise, to, must_fail=True, mime=mime)
    for name in ("png", "wav", "mp4", "pdf", "xlsx", "zip", "ttf"):
        ending, to = WHOLE[name]
        mime = SPECIMENS[name][1] or ""
        yield Bad(f"zeros as {name}", f"zeros.{ending}", bytes(2000), to, must_fail=True, mime=mime)
        for other in ("jpeg", "mp3", "woff2"):
            if other != name:
                yield Bad(f"{other} as {name}", f"other.{ending}", whole[other], to, must_fail=False, mime=mime)


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, packed: bytes) -> bytes:
    """A PNG of 8-bit RGB with these packed rows."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _zeros_zipped(name: str, size: int, others: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for other, content in others.items():
            archive.writestr(other, content)
        with archive.open(name, "w", force_zip64=True) as entry:
            for _ in range(size >> 20):
                entry.write(b" " * (1 << 20))
    return out.getvalue()


def _entries(content: bytes, leave: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != leave}


def _bombs(whole: dict[str, bytes]) -> Iterator[Bad]:
    yield Bad("zip bomb", "bomb.zip", _zeros_zipped("zeros", 200 << 20, {}), "tar", must_fail=True)
    nested = whole["zip"]
    for _ in range(6):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for n in range(8):
                archive.writestr(f"{n}.zip", nested)
        nested = out.getvalue()
    yield Bad("zip in zip in zip", "nested.zip", nested, "tar", must_fail=False)
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as packed:
        for _ in range(200):
            packed.write(bytes(1 << 20))
    yield Bad("gzip bomb", "bomb.gz", out.getvalue(), "zip", must_fail=True)
    for name, inner in (("xlsx", "xl/worksheets/sheet1.xml"), ("docx", "word/document.xml"), ("odt", "content.xml")):
        bomb = _zeros_zipped(inner, 300 << 20, _entries(whole[name], inner))
        yield Bad(f"{name} bomb", f"bomb.{name}", bomb, WHOLE[name][1], must_fail=True)
    entities = b'<!DOCTYPE svg [<!ENTITY a0 "ha">'
    for n in range(1, 10):
        entities += b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10)
    laugh = entities + b']><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text>&a9;</text></svg>'
    yield Bad("svg of a billion laughs", "laugh.svg", laugh, "png", must_fail=True)
    reads = (
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text>&f;</text></svg>'
    )
    yield Bad("svg that reads a file", "reads.svg", reads, "png", must_fail=False)
    used = b'<use href="#a"/>' * 20
    deep = b"".join(b'<g id="%c">%s</g>' % (98 + n, used.replace(b"#a", b"#%c" % (97 + n))) for n in range(8))
    head = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><defs><g id="a"><rect/></g>'
    svg = head + deep + b'</defs><use href="#i"/></svg>'
    yield Bad("svg of uses of uses", "uses.svg", svg, "png", must_fail=False)
    yield Bad("svg nested deep", "deep.svg", head[:-26] + b"<g>" * 50_000 + b"</g>" * 50_000 + b"</svg>", "png", False)
    yield Bad("json nested deep", "deep.json", b"[" * 100_000 + b"]" * 100_000, "csv", must_fail=True)
    yield Bad("html nested deep", "deep.html", b"<html><body>" + b"<div>" * 20_000, "txt", must_fail=False)
    yield Bad("csv of one endless line", "line.csv", b"a," * 500_000, "json", must_fail=False)
    yield Bad("pdf of a huge page", "page.pdf", pdf(b"[0 0 20000000 20000000]"), "png", must_fail=True)
    yield Bad("pdf of a page without size", "page.pdf", pdf(b"[0 0 0 0]"), "png", must_fail=False)
    yield Bad(
        "pdf whose pages are their own parents", "loop.pdf", pdf(b"[0 0 9 9]", kids=b"2 0 R"), "txt", must_fail=True
    )


def pdf(box: bytes, kids: bytes = b"3 0 R") -> bytes:
    """A PDF of one empty page, without a table of its objects."""
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Count 1/Kids[" + kids + b"]>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox" + box + b">>endobj\n"
        b"trailer<</Root 1 0 R/Size 4>>\n%%EOF\n"
    )


def _giants() -> Iterator[Bad]:
    """65,000 pixels a side, in a few bytes."""
    side = 65_000
    rows = zlib.compress(bytes(1 << 20))
    yield Bad("giant png", "giant.png", png(side, side, rows), "jpeg", must_fail=True)
    yield Bad("png with no sides", "none.png", png(0, 0, rows), "jpeg", must_fail=True)
    yield Bad("png with sides of 2^31", "most.png", png(2**31 - 1, 2**31 - 1, rows), "jpeg", must_fail=True)
    bmp = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 2054, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    yield Bad("giant bmp", "giant.bmp", bmp + bytes(2000), "png", must_fail=True)
    gif = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    gif += b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\x00;"
    yield Bad("giant gif", "giant.gif", gif, "png", must_fail=True)
    frame = b"!\xf9\x04\x00\x01\x00\x00\x00,\0\0\0\0\x10\x27\x10\x27\x00\x02\x02\x4c\x01\x00"
    many = b"GIF89a\x10\x27\x10\x27\x80\x00\x00" + bytes(6) + frame * 5000 + b";"
    yield Bad("gif of 5000 large frames", "frames.gif", many, "webp", must_fail=True)
    tags = [(256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 200), (278, 4, side)]
    tags += [(277, 3, 1), (279, 4, 1000)]
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, k, 1, v) for t, k, v in sorted(tags))
    yield Bad("giant tiff", "giant.tiff", b"II*\0\x08\0\0\0" + ifd + bytes(1200), "png", must_fail=True)
    jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    jpeg += b"\xff\xc0\0\x11\x08" + struct.pack(">HH", side, side) + b"\x03\x01\x22\0\x02\x11\x01\x03\x11\x01"
    yield Bad("giant jpeg", "giant.jpg", jpeg + bytes(600), "png", must_fail=True)
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="65000" height="65000"><rect width="9" height="9"/></svg>'
    yield Bad("giant svg", "giant.svg", svg, "png", must_fail=True)
    yield Bad("giant ppm", "giant.ppm", b"P6\n65000 65000\n255\n" + bytes(100), "png", must_fail=True)


def _playlists() -> Iterator[Bad]:
    m3u8 = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    concat = b"ffconcat version 1.0\nfile /etc/passwd\nduration 1\n"
    dash = b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>file:///etc/</BaseURL></MPD>'
    sdp = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
    for name, content in (("m3u8", m3u8), ("concat", concat), ("dash", dash), ("sdp", sdp)):
        for ending, mime in (
            ("mp4", "video/mp4"),
            ("ts", "video/mp2t"),
            ("mkv", "video/x-matroska"),
            ("mp3", "audio/mpeg"),
        ):
            yield Bad(f"{name} as {ending}", f"list.{ending}", content, "wav", must_fail=True, mime=mime)


def _polyglots(whole: dict[str, bytes]) -> Iterator[Bad]:
    for first, second in (
        ("gif", "zip"),
        ("png", "zip"),
        ("jpeg", "7z"),
        ("pdf", "zip"),
        ("wav", "pdf"),
        ("mp4", "zip"),
    ):
        ending, to = WHOLE[first]
        yield Bad(f"{first} and {second}", f"both.{ending}", whole[first] + whole[second], to, must_fail=False)
        other, its = WHOLE[second]
        yield Bad(f"{first} called {second}", f"both.{other}", whole[first] + whole[second], its, must_fail=False)
    script = b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)//"
    yield Bad("gif that is a script", "script.gif", script, "png", must_fail=True)
    yield Bad(
        "mp4 in a picture's type",
        "ftyp.avif",
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + whole["mp4"][32:],
        "png",
        True,
    )


def _broken_inside() -> Iterator[Bad]:
    """Sound containers of unsound things."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind in (("../../up", tarfile.REGTYPE), ("/etc/cron.d/x", tarfile.REGTYPE), ("dev", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type = kind
            archive.addfile(member)
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    yield Bad("tar that leaves its folder", "up.tar", out.getvalue(), "zip", must_fail=False)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("../../../up.txt", "/abs.txt", "C:\\x.txt", "a\0b", "x" * 500, "\u202etxt.exe"):
            archive.writestr(zipfile.ZipInfo(name), b"x")
    yield Bad("zip that leaves its folder", "up.zip", out.getvalue(), "tar", must_fail=False)
    for name, parts in (
        ("docx", {"word/document.xml": b"<a", "[Content_Types].xml": b"<Types/>", "_rels/.rels": b"<Relationships/>"}),
        ("xlsx", {"xl/workbook.xml": b"\xff\xfe<", "[Content_Types].xml": b"<Types/>", "_rels/.rels": b"<a/>"}),
        ("pptx", {"ppt/presentation.xml": b"", "[Content_Types].xml": b"<Types/>", "_rels/.rels": b"<a/>"}),
    ):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content)
        yield Bad(f"{name} of broken XML", f"broken.{name}", out.getvalue(), WHOLE[name][1], must_fail=True)
    yield Bad(
        "wav of no samples", "none.wav", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0" + bytes(16) + b"data\0\0\0\0", "mp3", True
    )
    endless = (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\xff\xff\xff\xff\xff\xff" + b"\xff" * 8 + b"data\xff\xff\xff\xff"
    )
    yield Bad("wav of 65535 channels", "many.wav", endless + bytes(500), "mp3", must_fail=True)
    yield Bad("json that is not", "not.json", b'{"a": [1, 2', "csv", must_fail=True)
    yield Bad("json of NaN", "nan.json", b'[{"a": NaN, "b": 1e999}]', "csv", must_fail=False)
    yield Bad("csv of NULs", "nul.csv", b"a,b\n\0,\0\n" * 20, "json", must_fail=False)
    yield Bad("text in no encoding", "odd.txt", b"\xff\xc0\x80\xed\xa0\x80 words" * 30, "html", must_fail=False)
    yield Bad("markdown that includes", "inc.md", b"```{include} /etc/passwd\n```\n![x](/etc/passwd)\n", "html", False)
    yield Bad(
        "html that includes", "inc.html", b'<html><iframe src="file:///etc/passwd"></iframe>words</html>', "txt", False
    )


HOSTILE_NAMES = (
    "../../../../etc/passwd.png",
    "..\\..\\windows\\win.png",
    "/etc/cron.d/x.png",
    "C:\\autoexec.png",
    "a\nSet-Cookie: x=1.png",
    "a\rb\tc.png",
    "a\x7fb\x1b[2J.png",
    "\u202egnp.exe.png",
    "\u200b\u2066x\u2069.png",
    "-rf.png",
    "--help.png",
    "-i /etc/passwd.png",
    "$(touch x).png",
    "`id`.png",
    "; rm -rf ~ #.png",
    "a|b&c>d<e.png",
    "%00.png",
    "%2e%2e%2fx.png",
    "con.png",
    ".png",
    "...png",
    " .png ",
    "x" * 300 + ".png",
    "字" * 100 + ".png",
    "😀" * 60 + ".png",
    "e\u0301" * 90 + ".png",
    "file:x.png",
    "concat:a|b.png",
    "x.png\u0000.exe",
    "a'b.png",
    "x.png;type=text.png",
    "\ufeffx.png",
)
