"""Facts of sounds and videos, read with PyAV: size as displayed, duration, rates, codecs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mediamill.core.errors import BadMedia
from mediamill.core.media import Facts
from mediamill.engines import _av


class AvProbe:
    """See the module. A sound's cover picture is no fact of it: only videos have a width and a height."""

    def families(self) -> Iterable[str]:
        return ("audio", "video")

    def probe(self, path: Path, mime: str) -> Facts:
        if mime not in _av.DEMUXERS:
            raise BadMedia(f"Nothing here reads {mime}.")
        source = _av.read(path, mime)
        video, sound = source.video, source.sound
        return Facts(
            width_px=video.width_px if video else None,
            height_px=video.height_px if video else None,
            duration_s=round(source.duration_s, 3) if source.duration_s else None,
            frame_rate=round(float(video.frame_rate), 3) if video and video.frame_rate else None,
            frames=video.frames if video else None,
            bitrate_bps=source.bitrate_bps,
            video_codec=video.codec if video else None,
            video_profile=video.profile if video else None,
            video_level=video.level if video else None,
            rotation_deg=video.rotation_deg or None if video else None,
            hdr=video.transfer if video else None,
            audio_codec=sound.codec if sound else None,
            audio_bitrate_bps=sound.bitrate_bps if sound else None,
            sample_rate_hz=sound.sample_rate_hz if sound else None,
            channels=sound.channels if sound else None,
            audio_tracks=len(source.sounds) or None,
            subtitle_tracks=len(source.texts) or None,
            has_alpha=video.alpha if video else None,
            title=source.title,
        )


PROBER = AvProbe()
