"""Signatures that are a rhythm rather than a word: MPEG audio and ADTS frames, Ogg pages, ASF objects."""

from __future__ import annotations

from typing import BinaryIO

from mediamill.blobs._sniff_boxes import read_at

_SCAN_BYTES = 64 * 1024

_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")  # stream type GUID, ASF specification 10.4

# kbit/s by (MPEG-1?, layer), ISO 11172-3 2.4.2.3 and ISO 13818-3 2.4.2.3; index 0 (free) and 15 are not taken.
_KBPS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version bits


def mpeg_audio(file: BinaryIO, head: bytes, claim: str | None) -> str | None:
    """MP3 (or layers 1 and 2), ADTS or ADIF AAC, after an ID3 tag or not; FLAC behind one too.

    Sync bits alone fit one file in 2,000 by chance, so the frame after must fit as well. A claim of mp3 or aac lets the
    first frame be searched for, past junk that cutters leave.
    """
    if head.startswith(b"ADIF"):
        return "audio/aac"
    tagged = _after_id3(head)
    window = read_at(file, tagged, _SCAN_BYTES) if tagged else head
    if tagged and window.startswith(b"fLaC"):
        return "audio/flac"
    window = window.lstrip(b"\0") if tagged else window  # padding that taggers leave
    claimed = claim in ("audio/mpeg", "audio/aac")
    for at in range(min(len(window), 8192) if claimed or tagged else 1):
        if window[at : at + 1] == b"\xff":
            found = _two_frames(window, at)
            if found:
                return found
    return "audio/mpeg" if tagged and claim == "audio/mpeg" else None


def _after_id3(head: bytes) -> int:
    """Where an ID3v2 tag ends (ID3v2.4 3.1: size in 7-bit bytes, perhaps a footer); 0 without one."""
    if head[:3] != b"ID3" or len(head) < 10 or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _two_frames(window: bytes, at: int) -> str | None:
    first = _frame(window[at : at + 7])
    if first is None:
        return None
    kind, size = first
    after = _frame(window[at + size : at + size + 7])
    ends_here = len(window) - at - size in (0, 128)  # a file of one frame, perhaps with an ID3v1 tag
    return kind if ends_here or (after is not None and after[0] == kind) else None


def _frame(header: bytes) -> tuple[str, int] | None:
    """(type, bytes in the frame) of a frame header."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    layer_bits = header[1] >> 1 & 3
    if layer_bits == 0:
        # ISO 13818-7 6.2: twelve sync bits, layer 0, thirteen bits of length
        size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
        sane = header[1] & 0xF0 == 0xF0 and header[2] >> 2 & 15 < 13 and size > 7
        return ("audio/aac", size) if sane else None
    version, layer = header[1] >> 3 & 3, 4 - layer_bits
    rate_index, hz_index = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or hz_index == 3 or not 0 < rate_index < 15:
        return None
    bps = _KBPS[version == 3, layer][rate_index - 1] * 1000
    hz, padding = _HZ[version][hz_index], header[2] >> 1 & 1
    if layer == 1:
        return "audio/mpeg", (12 * bps // hz + padding) * 4
    samples_by_8 = 72 if layer == 3 and version != 3 else 144
    return "audio/mpeg", samples_by_8 * bps // hz + padding


def ogg(file: BinaryIO, head: bytes) -> str | None:
    """By the first packets of the first pages: all streams announce themselves there (RFC 3533 4). None for video."""
    starts = []
    at = 0
    while head.startswith(b"OggS", at) and len(head) >= at + 27 and head[at + 5] & 2:  # 2: begins a stream
        segments = head[at + 26]
        table = head[at + 27 : at + 27 + segments]
        body = at + 27 + segments
        starts.append(head[body : body + 8])
        at = body + sum(table)
    if any(start.startswith((b"\x80theora", b"BBCD", b"\x01video", b"OVP80")) for start in starts):
        return None
    if any(start.startswith(b"OpusHead") for start in starts):
        return "audio/opus"
    sounds = (b"\x01vorbis", b"\x7fFLAC", b"Speex   ")
    return "audio/ogg" if any(start.startswith(sounds) for start in starts) else None


def asf(file: BinaryIO, head: bytes) -> str | None:
    """Windows Media with sound only; None with pictures, which is a format we do not know."""
    header = head[: int.from_bytes(head[16:24], "little")]
    return None if _ASF_VIDEO in header else "audio/x-ms-wma"
