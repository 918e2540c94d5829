"""What is decoded of a clip, and how: the grid of times its frames lie on and the chain that makes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from mediamill.engines import _av, _ffmpeg, _ffmpeg_args
from mediamill.engines._compose_pixels import planar_bytes

BEFORE = 4
"""Frames decoded before the first that is wanted: after a seek, the one nearest to it may come before it."""
NUDGE = 0.1373
"""Share of a frame by which times are moved before they are rounded, so that none is halfway between two frames."""
_HD_LINES = 720


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What to decode of a clip. first and count: in steps of its grid, from in_s. size: of the frames, both even."""

    path: Path
    mime: str
    video: _av.Video
    in_s: float
    speed: float
    rate: int
    size: tuple[int, int]
    crop: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Shares cut off the left, top, right and bottom."""
    flip: tuple[bool, bool] = (False, False)
    cube: Path | None = None

    @property
    def alpha(self) -> bool:
        return self.video.alpha

    @property
    def size_bytes(self) -> int:
        return self.size[0] * self.size[1] * 4 if self.alpha else planar_bytes(*self.size)

    @property
    def holding(self) -> bool:
        """Whether a frame may be shown for longer than a decoder begins before it."""
        rate = self.video.frame_rate
        return self.video.varying or rate is None or 2 / rate > BEFORE * self.step_s

    @property
    def step_s(self) -> float:
        """Seconds of the source from frame to frame."""
        return self.speed / self.rate

    def first_of(self, step: int) -> int:
        """The step at which a decoder begins whose first frame wanted is this one."""
        return max(self.least, max(self.least, step) - BEFORE)

    def second_of(self, step: int) -> float:
        """The second of the source where that step lies."""
        return max(0.0, self.in_s + step * self.step_s)

    @property
    def least(self) -> int:
        """The first step of the grid that lies in the source."""
        return -math.floor(self.in_s / self.step_s + 1e-6)

    def argv(self, first: int, count: int, tone: bool, threads: int) -> list[str | Path]:
        """The command that writes frames `first` to `first + count` of the grid."""
        return [
            *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-v", "error", "-threads", str(threads)),
            *_ffmpeg.input_args(
                self.path, self.mime, start_s=self.second_of(first), decoder=_ffmpeg_args.decoder(self.video)
            ),
            *("-map", f"0:{self.video.index}", "-an", "-sn", "-dn", "-vf", ",".join(self.filters(tone))),
            *("-frames:v", str(count), "-fps_mode", "passthrough"),
            *("-c:v", "rawvideo", "-f", "rawvideo", "pipe:1"),
        ]  # fmt: skip

    def filters(self, tone: bool) -> list[str]:
        """The chain from decoded frames to those of the grid."""
        chain = ["bwdif=mode=send_frame:deint=interlaced"] if self.video.interlaced else []
        speed = "" if self.speed == 1 else f"/{self.speed:.6f}"
        chain += [f"setpts=PTS{speed}+{NUDGE / self.rate:.9f}/TB", f"fps={self.rate}:start_time=0:round=near"]
        return chain + self.looks(tone=tone)

    def looks(self, *, tone: bool) -> list[str]:
        """The part of the chain that changes a frame, not its time."""
        chain = []
        if any(self.crop):
            left, top, right, bottom = self.crop
            wide, high = max(0.0, 1 - left - right), max(0.0, 1 - top - bottom)
            chain.append(
                f"crop=w=max(2\\,iw*{wide:.6f}):h=max(2\\,ih*{high:.6f}):x=iw*{left:.6f}:y=ih*{top:.6f}:exact=1"
            )
        chain += [name for name, wanted in zip(("hflip", "vflip"), self.flip, strict=True) if wanted]
        if self.video.transfer is not None and tone:
            chain.append(_ffmpeg_args.tone_map(self.video.transfer))
        if self.cube is not None:
            chain += [self._scale("gbrap" if self.alpha else "gbrp"), f"lut3d=file={self.cube.name}:interp=tetrahedral"]
        chain += [*self._scale("rgba" if self.alpha else "yuv420p").split(","), "setsar=1"]
        return chain

    def _scale(self, pixels: str) -> str:
        known = self.video.matrix is not None or self.video.transfer is not None or self.video.rgb
        # Films that do not say go by their size, as players have it.
        guess = "bt709" if max(self.video.height_px, self.video.width_px * 9 // 16) >= _HD_LINES else "smpte170m"
        into = "" if known or (self.cube is not None and pixels == "yuv420p") else f":in_color_matrix={guess}"
        out = ":out_color_matrix=bt709:out_range=tv" if pixels == "yuv420p" else ""
        flags = "bicubic" if self.size[1] * 2 > self.video.height_px else "area"
        return f"scale={self.size[0]}:{self.size[1]}:flags={flags}+accurate_rnd{into}{out},format={pixels}"
