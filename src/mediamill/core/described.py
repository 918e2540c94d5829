"""What is known of a file, in the words that callers are told it in and ask for it by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediamill.core import formats

_WORDS = ("filesize", "mimetype", "width", "height", "duration", "bitrate", "framerate", "codecs")
_SEEN_OR_HEARD = ("image", "audio", "video")


def unknown() -> dict[str, Any]:
    """Every word, of a file nothing is known of yet."""
    return dict.fromkeys(_WORDS)


def described(*, mime: str, size_bytes: int | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Every word for what a probe found; None where it does not apply."""
    found = unknown() | {"filesize": size_bytes, "mimetype": mime}
    family = formats.family(mime)
    if family not in _SEEN_OR_HEARD:
        return found | _timed(facts, size_bytes) if "duration_s" in facts else found
    found |= {"width": _whole(facts.get("width_px")), "height": _whole(facts.get("height_px"))}
    if family != "image" or (facts.get("frames") or 1) > 1:
        found |= _timed(facts, size_bytes)
    if family == "audio":
        found |= {"width": None, "height": None, "framerate": None}  # those of its cover
    if facts:
        found["codecs"] = _codecs(mime, facts)
    return found


def orientation(width: int | None, height: int | None) -> str | None:
    """How a picture lies."""
    if not width or not height:
        return None
    return "landscape" if width > height else "portrait" if width < height else "square"


def container(mime: str) -> str | None:
    """The short name of a format."""
    return formats.by_mime(mime).names[0] if formats.family(mime) else None


def animated(mime: str, facts: Mapping[str, Any]) -> bool | None:
    """Whether a picture moves; None for what is no picture."""
    return facts["frames"] > 1 if formats.family(mime) == "image" and facts.get("frames") else None


def _timed(facts: Mapping[str, Any], size_bytes: int | None) -> dict[str, Any]:
    duration, bitrate = facts.get("duration_s"), facts.get("bitrate_bps")
    if bitrate is None and duration and size_bytes is not None:
        bitrate = size_bytes * 8 / duration
    return {"duration": duration, "bitrate": _whole(bitrate), "framerate": facts.get("frame_rate")}


def _codecs(mime: str, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """{video, audio} of the codecs inside; None for a file that holds none."""
    family = formats.family(mime)
    video = formats.by_mime(mime).names[0] if family == "image" else facts.get("video_codec")
    sound = facts.get("audio_codec")
    if video is None and sound is None:
        return None
    shown: dict[str, Any] = {"video": None, "audio": None}
    if video is not None and family != "audio":
        level = facts.get("video_level")
        shown["video"] = {
            "name": video,
            "profile": facts.get("video_profile"),
            "level": str(level) if level is not None else None,
        }
    if sound is not None:
        shown["audio"] = {
            "name": sound,
            "sample_rate": _whole(facts.get("sample_rate_hz")),
            "channels": _whole(facts.get("channels")),
            "bitrate": _whole(facts.get("audio_bitrate_bps")),
        }
    return shown


def _whole(value: Any) -> int | None:
    return round(value) if isinstance(value, int | float) else None
