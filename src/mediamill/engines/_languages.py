"""The language of a track: its codes in the forms that containers hold, and writing them where ffmpeg does not.

Sources: ISO 639-1 and 639-2; RFC 5646; ISO/IEC 14496-12, 8.4.2; the QuickTime File Format Specification, "Language Code
Values".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

# fmt: off
_CODES = """
aa aar ab abk ae ave af afr ak aka am amh an arg ar ara as asm av ava ay aym az aze ba bak be bel bg bul bi bis bm
bam bn ben bo bod br bre bs bos ca cat ce che ch cha co cos cr cre cs ces cu chu cv chv cy cym da dan de deu dv div
dz dzo ee ewe el ell en eng eo epo es spa et est eu eus fa fas ff ful fi fin fj fij fo fao fr fra fy fry ga gle gd
gla gl glg gn grn gu guj gv glv ha hau he heb hi hin ho hmo hr hrv ht hat hu hun hy hye hz her ia ina id ind ie ile
ig ibo ii iii ik ipk io ido is isl it ita iu iku ja jpn jv jav ka kat kg kon ki kik kj kua kk kaz kl kal km khm kn
kan ko kor kr kau ks kas ku kur kv kom kw cor ky kir la lat lb ltz lg lug li lim ln lin lo lao lt lit lu lub lv lav
mg mlg mh mah mi mri mk mkd ml mal mn mon mr mar ms msa mt mlt my mya na nau nb nob nd nde ne nep ng ndo nl nld nn
nno no nor nr nbl nv nav ny nya oc oci oj oji om orm or ori os oss pa pan pi pli pl pol ps pus pt por qu que rm roh
rn run ro ron ru rus rw kin sa san sc srd sd snd se sme sg sag si sin sk slk sl slv sm smo sn sna so som sq sqi sr
srp ss ssw st sot su sun sv swe sw swa ta tam te tel tg tgk th tha ti tir tk tuk tl tgl tn tsn to ton tr tur ts tso
tt tat tw twi ty tah ug uig uk ukr ur urd uz uzb ve ven vi vie vo vol wa wln wo wol xh xho yi yid yo yor za zha zh
zho zu zul
"""
_OTHERS = {
    "alb": "sqi", "arm": "hye", "baq": "eus", "bur": "mya", "chi": "zho", "cze": "ces", "dut": "nld", "fre": "fra",
    "geo": "kat", "ger": "deu", "gre": "ell", "ice": "isl", "mac": "mkd", "mao": "mri", "may": "msa", "per": "fas",
    "rum": "ron", "slo": "slk", "tib": "bod", "wel": "cym",
    "mol": "ron", "scc": "srp", "scr": "hrv", "iw": "heb", "in": "ind", "ji": "yid", "mo": "ron",  # withdrawn
    "iri": "gle", "sve": "swe",  # as libavformat names two of the Macintosh's languages
}
"""Further names, the bibliographic codes of ISO 639-2 first of all."""
# fmt: on
_LONG = dict(zip(_CODES.split()[::2], _CODES.split()[1::2], strict=True))
_SHORT = {long: short for short, long in _LONG.items()}
_NONE = frozenset({"mis", "zxx"})
_UNPACKED = 0x60
_MOOV_TRACKS = 256


def long(tag: str | None) -> str | None:
    """The three letters of ISO 639-2/T for what a file says ("ger", "de", "de-AT"); None where it says nothing."""
    word = (tag or "").strip().lower().replace("_", "-").replace(",", "-").split("-")[0].strip()
    word = _OTHERS.get(word, _LONG.get(word, word))
    return word if len(word) == 3 and word.isascii() and word.isalpha() and word != "und" else None


def short(tag: str | None) -> str | None:
    """The shortest code, as RFC 5646 asks for it, with the rest of the tag as it is; None for no language at all."""
    words = (tag or "").strip().replace("_", "-").split(",")[0].split("-")
    first = long(words[0])
    if first is None or first in _NONE:
        return None
    return "-".join([_SHORT.get(first, first), *(word for word in words[1:] if word.isascii() and word.isalnum())])


def write(path: Path, tags: Sequence[str | None]) -> None:
    """Write the languages of the tracks, in their order, into an MP4 or QuickTime file; None leaves a track's as it is.

    ffmpeg writes the Macintosh's numbers alone into a QuickTime file and drops every language that has none, or is
    called by another of its names; the format takes packed letters as MP4 does.
    """
    wanted = [long(tag) for tag in tags]
    if not any(wanted):
        return
    with path.open("r+b") as file:
        for at, code in zip(list(_language_fields(file)), wanted, strict=False):
            if code is not None:
                file.seek(at)
                file.write(packed(code))


def packed(code: str) -> bytes:
    """Three letters in fifteen bits."""
    one, two, three = (ord(letter) - _UNPACKED for letter in code)
    return struct.pack(">H", one << 10 | two << 5 | three)


def _language_fields(file: BinaryIO) -> Iterator[int]:
    """Where each track's language lies."""
    end = file.seek(0, 2)
    for name, begin, stop in _boxes(file, 0, end):
        if name != b"moov":
            continue
        tracks = [(b, s) for name, b, s in _boxes(file, begin, stop) if name == b"trak"]
        for inner, last in tracks[:_MOOV_TRACKS]:
            for _, b, s in (box for box in _boxes(file, inner, last) if box[0] == b"mdia"):
                for _, field, _ in (box for box in _boxes(file, b, s) if box[0] == b"mdhd"):
                    file.seek(field)
                    yield field + (32 if file.read(1) == b"\1" else 20)
        return


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, beginning, end) of what each box between two offsets holds."""
    while at + 8 <= end:
        file.seek(at)
        size, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            (size,), head = struct.unpack(">Q", file.read(8).ljust(8, b"\0")), 16
        elif size == 0:
            size = end - at
        if size < head or at + size > end:
            return
        yield name, at + head, at + size
        at += size
