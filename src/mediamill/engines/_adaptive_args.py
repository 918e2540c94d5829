"""What ffmpeg is told to make a ladder: one decode, one picture scaled down step by step, a file a rendition.

Pure functions, tested as strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from mediamill.core.adaptive import Frame, Rung
from mediamill.engines import _ffmpeg, _ffmpeg_args
from mediamill.engines._av import Sound, Video

KEY_S = 2.0
"""Seconds between key frames, which trick play shows; three make a segment."""
SOUND_FRAGMENT_US = 500_000
SOUND_BPS = 128_000
SOUNDS_ALONE_BPS = (128_000, 64_000)
"""Bit rates of a package without pictures, for stereo."""

_PEAK = 1.2
_BUFFER_S = 2
_FINEST = "12"  # flat pictures would otherwise be given bits that nobody can see
_FRAGMENTED = "cmaf+delay_moov+skip_trailer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Which part of a source is made: `before_s` of what is read come before it, and are there so that the picture on
    the screen and the sound in the air at its beginning are known; it ends after `lasts_s`, or with the source."""

    before_s: float = 0.0
    lasts_s: float | None = None

    def picture(self, rate: Fraction) -> list[str]:
        """Filters that give a picture its constant rate. FFmpeg's own limits on an input count from the first picture
        that comes, and one that begins between two would last a picture too long."""
        moved = [f"setpts=PTS-{_ffmpeg.seconds(self.before_s)}/TB"] if self.before_s else []
        ended = [] if self.lasts_s is None else [f"trim=end_frame={max(1, round(self.lasts_s * rate))}"]
        return [*moved, f"fps={rate}:start_time=0", *ended]

    def sound(self, hz: int) -> list[str]:
        """Filters that give a sound its rate, and let it begin with the picture."""
        moved = [f"asetpts=PTS-{_ffmpeg.seconds(self.before_s)}/TB", "atrim=start=0"] if self.before_s else []
        ended = [] if self.lasts_s is None else [f"atrim=end_sample={max(1, round(self.lasts_s * hz))}"]
        # Each rate of its own: the trim counts samples as they are written.
        return [*moved, f"aresample={hz}:async=1:first_pts=0", *ended]


WHOLE = Cut()


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundPlan:
    """A sound track to make: from which, into which file, at which bit rate; copied if it is as wanted."""

    track: Sound
    target: Path
    bitrate_bps: int = SOUND_BPS
    copy: bool = False


def key_every(rate: Fraction) -> int:
    """Frames from one key frame to the next."""
    return max(1, round(rate * Fraction(KEY_S)))


def graph(
    video: Video,
    frame: Frame,
    rungs: Sequence[Rung],
    *,
    rate: Fraction,
    hdr: bool,
    colours: str | None = None,
    part: Cut = WHOLE,
) -> str:
    """One picture made upright, placed and toned once, then handed down the ladder, each rung from the one above.

    colours: what to say of a picture that says nothing of its colours; padding is coloured accordingly, too.
    """
    chain = ["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else []
    chain += part.picture(rate)
    chain.append(_ffmpeg_args.scale(video, (frame.scaled_width_px, frame.scaled_height_px)))
    if hdr and video.transfer:
        chain.append(_ffmpeg_args.tone_map(video.transfer))
    chain.append("format=yuv420p")
    if video.rgb or (hdr and video.transfer):
        colours = "bt709"
    if colours is not None:
        chain.append(f"setparams=color_primaries={colours}:color_trc={colours}:colorspace={colours}")
    wide, high = frame.width_px, frame.height_px
    if frame.cropped:
        kept = min(wide, frame.scaled_width_px), min(high, frame.scaled_height_px)
        chain.append(f"crop={kept[0]}:{kept[1]}:{max(0, -frame.left_px)}:{max(0, -frame.top_px)}")
    if frame.padded:
        colour = "0x" + frame.background.removeprefix("#")
        chain.append(f"pad={wide}:{high}:{max(0, frame.left_px)}:{max(0, frame.top_px)}:{colour}")
    steps = [f"[0:{video.index}]{','.join(chain)}"]
    for number, rung in enumerate(rungs):
        if number or (rung.width_px, rung.height_px) != (wide, high):
            steps[-1] += f",scale={rung.width_px}:{rung.height_px}:flags=bicubic,setsar=1"
        if number == len(rungs) - 1:
            steps[-1] += f"[v{number}]"
        else:
            steps[-1] += f",split[v{number}][s{number}]"
            steps.append(f"[s{number}]null")
    return ";".join(steps)


def pictures(rungs: Sequence[Rung], targets: Sequence[Path], *, rate: Fraction, padding: str) -> list[str]:
    """The outputs of `graph`, each encoded into a file of its own with key frames at the same instants."""
    args: list[str] = []
    every = str(key_every(rate))
    for number, (rung, target) in enumerate(zip(rungs, targets, strict=True)):
        bps = rung.bitrate_bps
        args += ["-map", f"[v{number}]", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high"]
        args += ["-b:v", str(bps), "-maxrate", str(int(bps * _PEAK)), "-bufsize", str(bps * _BUFFER_S)]
        args += ["-qmin", _FINEST, "-g", every, "-keyint_min", every, "-sc_threshold", "0"]
        args += file_of_one(target, padding, picture=True)
    return args


def sounds(plans: Sequence[SoundPlan], *, padding: str, part: Cut = WHOLE) -> list[str]:
    """Sound tracks, each in a file of its own, beginning with the picture even where the source's begins later."""
    args: list[str] = []
    for plan in plans:
        args += ["-map", f"0:{plan.track.index}"]
        if plan.copy:
            args += ["-c:a", "copy"]
        else:
            channels = min(2, plan.track.channels)
            hz = 48000 if plan.track.sample_rate_hz > 44100 else 44100
            args += ["-c:a", "aac", "-b:a", str(plan.bitrate_bps * channels // 2), "-ac", str(channels)]
            args += ["-ar", str(hz), "-af", ",".join(part.sound(hz))]
        args += file_of_one(plan.target, padding, picture=False)
    return args


def file_of_one(target: Path, padding: str, *, picture: bool) -> list[str]:
    """How a file of one track in fragments is written. Its header is written late, so that an edit list can say how far
    its first packets lie before the start: negative composition offsets would do without one, but players built on
    FFmpeg then show the picture late."""
    cut = ["-frag_duration", str(SOUND_FRAGMENT_US)]
    flags = _FRAGMENTED
    if picture:
        cut, flags = [], f"{_FRAGMENTED}+frag_keyframe"
    clean = ("-map_metadata", "-1", "-map_chapters", "-1", "-metadata", f"comment={padding}")
    return [*clean, "-max_muxing_queue_size", "4096", *cut, "-movflags", flags, "-f", "mp4", _ffmpeg.url(target)]
