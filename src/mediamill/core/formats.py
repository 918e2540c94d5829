"""The formats Mediamill knows: canonical MIME type, family, bare names, aliases, file extension.

One row a format. Families decide which prober reads a file and which settings make sense. Names follow the IANA
registry where it has one, else the common usage that the TurboFiles contract lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["image", "audio", "video", "document", "sheet", "archive", "font", "text"]


PROBED: frozenset[Family] = frozenset({"image", "audio", "video", "document", "sheet", "archive", "font"})
"""Families whose files have facts worth looking for."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `names[0]` is the bare name; `extension` has no dot. `inline`: safe to show in a browser as it is."""

    mime: str
    family: Family
    names: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    extension: str = ""
    inline: bool = False

    @property
    def suffix(self) -> str:
        """The file extension with its dot."""
        return "." + (self.extension or self.names[0])


FORMATS: tuple[Format, ...] = (
    # images
    Format("image/png", "image", ("png",), inline=True),
    Format("image/jpeg", "image", ("jpeg", "jpg", "jpe"), ("image/jpg", "image/pjpeg"), "jpg", inline=True),
    Format("image/webp", "image", ("webp",), inline=True),
    Format("image/avif", "image", ("avif",), inline=True),
    Format("image/gif", "image", ("gif",), inline=True),
    Format("image/tiff", "image", ("tiff", "tif"), ("image/tif",)),
    Format("image/bmp", "image", ("bmp",), ("image/x-ms-bmp", "image/x-bmp"), inline=True),
    Format("image/x-icon", "image", ("ico",), ("image/vnd.microsoft.icon",)),
    Format("image/heic", "image", ("heic", "heif"), ("image/heif",)),
    Format("image/svg+xml", "image", ("svg",), ("image/svg",)),
    Format("image/x-portable-pixmap", "image", ("ppm",)),
    Format("image/x-portable-graymap", "image", ("pgm",)),
    Format("image/x-portable-bitmap", "image", ("pbm",)),
    Format("image/x-tga", "image", ("tga",), ("image/x-targa", "image/tga")),
    Format("image/jp2", "image", ("jp2", "j2k", "jpx"), ("image/jpeg2000", "image/jpx")),
    Format("image/jxl", "image", ("jxl",)),
    # audio
    Format("audio/wav", "audio", ("wav",), ("audio/x-wav", "audio/wave", "audio/vnd.wave"), inline=True),
    Format("audio/mpeg", "audio", ("mp3",), ("audio/mp3", "audio/x-mp3", "audio/mpeg3"), inline=True),
    Format("audio/flac", "audio", ("flac",), ("audio/x-flac",), inline=True),
    Format("audio/ogg", "audio", ("ogg", "oga"), ("application/ogg", "audio/vorbis"), inline=True),
    Format("audio/opus", "audio", ("opus",), inline=True),
    Format("audio/aac", "audio", ("aac",), ("audio/x-aac", "audio/aacp"), inline=True),
    Format("audio/mp4", "audio", ("m4a",), ("audio/x-m4a", "audio/m4a"), "m4a", inline=True),
    Format("audio/aiff", "audio", ("aiff", "aif"), ("audio/x-aiff",)),
    Format("audio/x-ms-wma", "audio", ("wma",), ("audio/wma",)),
    # video
    Format("video/mp4", "video", ("mp4", "m4v"), ("video/x-m4v", "application/mp4"), inline=True),
    Format("video/webm", "video", ("webm",), inline=True),
    Format("video/quicktime", "video", ("mov", "qt"), extension="mov"),
    Format("video/x-matroska", "video", ("mkv",), ("video/matroska", "application/x-matroska")),
    Format("video/x-msvideo", "video", ("avi",), ("video/avi", "video/vnd.avi")),
    Format("video/mpeg", "video", ("mpeg", "mpg"), ("video/mp2p",), "mpg"),
    Format("video/mp2t", "video", ("ts", "mts"), extension="ts"),
    Format("video/3gpp", "video", ("3gp",), ("video/3gpp2", "video/3gp")),
    Format("video/x-flv", "video", ("flv",), ("video/flv",)),
    # documents
    Format("application/pdf", "document", ("pdf",), ("application/x-pdf",), inline=True),
    Format(
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "document",
        ("docx",),
    ),
    Format("application/msword", "document", ("doc",)),
    Format("application/vnd.oasis.opendocument.text", "document", ("odt",)),
    Format("application/rtf", "document", ("rtf",), ("text/rtf", "application/x-rtf")),
    Format("text/plain", "document", ("txt", "text"), inline=True),
    Format("text/html", "document", ("html", "htm"), ("application/xhtml+xml",)),
    Format("text/markdown", "document", ("md", "markdown"), ("text/x-markdown",)),
    Format("application/epub+zip", "document", ("epub",)),
    Format(
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "document",
        ("pptx",),
    ),
    Format("application/vnd.ms-powerpoint", "document", ("ppt",), ("application/mspowerpoint",)),
    Format("application/vnd.oasis.opendocument.presentation", "document", ("odp",)),
    # sheets and data
    Format("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "sheet", ("xlsx",)),
    Format("application/vnd.ms-excel", "sheet", ("xls",), ("application/msexcel", "application/x-excel")),
    Format("application/vnd.oasis.opendocument.spreadsheet", "sheet", ("ods",)),
    Format("text/csv", "sheet", ("csv",), ("application/csv", "text/x-csv")),
    Format("text/tab-separated-values", "sheet", ("tsv",), ("text/tsv",)),
    Format("text/x-psv", "sheet", ("psv",), ("text/psv", "text/pipe-separated-values")),
    Format("application/json", "sheet", ("json",), ("text/json",), inline=True),
    # archives
    Format("application/zip", "archive", ("zip",), ("application/x-zip-compressed", "application/x-zip")),
    Format("application/x-tar", "archive", ("tar",)),
    Format(
        "application/gzip",
        "archive",
        ("tar.gz", "tgz", "gz"),
        ("application/x-gzip", "application/x-gtar", "application/x-compressed-tar"),
        "tar.gz",
    ),
    Format("application/x-7z-compressed", "archive", ("7z",)),
    # fonts
    Format("font/ttf", "font", ("ttf",), ("application/x-font-ttf", "font/sfnt")),
    Format("font/otf", "font", ("otf",), ("application/x-font-otf", "application/vnd.ms-opentype")),
    Format("font/woff", "font", ("woff",), ("application/font-woff", "application/x-font-woff")),
    Format("font/woff2", "font", ("woff2",), ("application/font-woff2",)),
    # tracks
    Format("text/vtt", "text", ("vtt",)),
    Format("application/x-subrip", "text", ("srt",), ("text/srt",)),
)

_BY_MIME: dict[str, Format] = {f.mime: f for f in FORMATS}
_BY_WORD: dict[str, Format] = {
    word: f for f in FORMATS for word in (f.mime, *f.aliases, *f.names)
}  # MIME types hold a slash and bare names never do, so one table serves both


def find(word: str) -> Format | None:
    """The format a MIME type, alias or bare name stands for (case and MIME parameters do not matter), or None."""
    return _BY_WORD.get(word.split(";", 1)[0].strip().lower().removeprefix("."))


def by_mime(mime: str) -> Format:
    """The format of a canonical MIME type; KeyError when it is none of ours."""
    return _BY_MIME[mime]


def canonical(word: str) -> str | None:
    """The canonical MIME type of a MIME type, alias or bare name, or None."""
    found = find(word)
    return found.mime if found else None


def family(mime: str) -> Family | None:
    """The family of a canonical MIME type, or None for one we do not know."""
    found = _BY_MIME.get(mime)
    return found.family if found else None


def by_filename(filename: str) -> Format | None:
    """The format a file name's extension stands for, or None."""
    name = filename.lower()
    if name.endswith(".tar.gz"):
        return _BY_WORD["tar.gz"]
    return _BY_WORD.get(name.rsplit(".", 1)[1]) if "." in name else None


def suffix(mime: str) -> str:
    """The extension with its dot for a canonical MIME type; ".bin" for one we do not know."""
    found = _BY_MIME.get(mime)
    return found.suffix if found else ".bin"


def renamed(filename: str, mime: str) -> str:
    """`filename` with the extension of another type: ("a.b.png", "image/webp") -> "a.b.webp"."""
    stem = filename
    found = by_filename(filename)
    if found is not None:
        cut = ".tar.gz" if filename.lower().endswith(".tar.gz") else "." + filename.rsplit(".", 1)[1]
        stem = filename[: -len(cut)]
    return (stem or "file") + suffix(mime)
