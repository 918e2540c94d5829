"""The settings that conversions share: section 10 of the TurboFiles contract, under the names callers know."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mediamill.kinds import Options

Pixels = Annotated[int, Meta(ge=1, le=16384)]


class Resize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One side given: the other keeps the ratio; both: exactly that size. Then shrunk to fit the maxima."""

    width: Annotated[Pixels, Meta(description="Width in pixels.")] | UnsetType = UNSET
    height: Annotated[Pixels, Meta(description="Height in pixels.")] | UnsetType = UNSET
    max_width: Annotated[Pixels, Meta(description="Shrink to at most this width, keeping the ratio.")] | UnsetType = (
        UNSET
    )
    max_height: Annotated[Pixels, Meta(description="Shrink to at most this height, keeping the ratio.")] | UnsetType = (
        UNSET
    )


class Settings(Options, frozen=True, kw_only=True):
    """Every settings key; those that do not act on a pair are ignored and named in `ignored_settings`."""

    resize: Resize | UnsetType = UNSET
    quality: (
        Annotated[int, Meta(ge=1, le=100, description="Lossy image quality (jpeg, webp 80; avif 60).")] | UnsetType
    ) = UNSET
    lossless: Annotated[bool, Meta(description="Lossless webp or avif.")] | UnsetType = UNSET
    strip: (
        Annotated[bool, Meta(description="Drop metadata, after turning upright; colour profile kept (true).")]
        | UnsetType
    ) = UNSET
    background: (
        Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$", description="Fill where the target has no alpha (#FFFFFF).")]
        | UnsetType
    ) = UNSET
    start: Annotated[float, Meta(ge=0, description="First second to keep.")] | UnsetType = UNSET
    duration: Annotated[float, Meta(ge=0, description="Seconds to keep.")] | UnsetType = UNSET
    bitrate: (
        Annotated[int, Meta(ge=8, le=512, description="Audio kbit/s of lossy targets (mp3 192, aac and opus 128).")]
        | UnsetType
    ) = UNSET
    sample_rate: Annotated[int, Meta(ge=8000, le=192000, description="Audio samples a second.")] | UnsetType = UNSET
    channels: Annotated[int, Meta(ge=1, le=8, description="Audio channels.")] | UnsetType = UNSET
    fps: Annotated[float, Meta(ge=1, le=120, description="Frames a second (source; gif 12).")] | UnsetType = UNSET
    crf: Annotated[int, Meta(ge=0, le=63, description="Constant quality of video (h264 23, vp9 32).")] | UnsetType = (
        UNSET
    )
    audio: Annotated[bool, Meta(description="Keep the sound track where the target can (true).")] | UnsetType = UNSET
    loop: Annotated[int, Meta(ge=0, le=65535, description="Times a gif plays; 0 for ever.")] | UnsetType = UNSET
    page: Annotated[int, Meta(ge=1, description="Page to turn into a picture, from 1.")] | UnsetType = UNSET
    dpi: Annotated[int, Meta(ge=36, le=600, description="Dots an inch of a page picture (150).")] | UnsetType = UNSET
    sheet: (
        Annotated[int, Meta(ge=1, description="Sheet for text targets, by number from 1 or by name.")]
        | Annotated[str, Meta(min_length=1, max_length=255)]
        | UnsetType
    ) = UNSET
    level: Annotated[int, Meta(ge=0, le=9, description="Compression level of archives (6).")] | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The keys the caller gave, as plain JSON values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        values.pop("format", None)
        return values
