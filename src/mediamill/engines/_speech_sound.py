"""A film's or a sound's voice track as recognisers want it: 16 kHz, one channel, 16 bits, in a file of the scratch
folder, which is mapped rather than read so that a day of sound needs no more memory than a minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mediamill.core.errors import BadMedia, NoSound, ToolFailed
from mediamill.core.speech import Listening
from mediamill.engines import _av, _ffmpeg

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE_HZ = 16_000
_BYTES_A_SECOND = 2 * RATE_HZ
_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """The decoded track, on the time line of the film: silence stands where the track starts late or has gaps."""

    path: Path
    samples: int

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return self.samples / RATE_HZ

    def read(self) -> NDArray[np.int16]:
        """(samples,) mono; a view of the file."""
        import numpy as np

        if self.samples == 0:
            return np.zeros(0, np.int16)
        return np.memmap(self.path, np.int16, mode="r", shape=(self.samples,))


def decode(work: Listening, progress: Callable[[float, float], None]) -> Sound:
    """The track a player would start with. `progress` gets the fraction of this and the length of the sound in seconds.

    Raises NoSound, BadMedia, LimitExceeded or ToolFailed.
    """
    work.report("probe", 0.0)
    if work.source_mime not in _av.DEMUXERS:
        raise BadMedia("Only sounds and films can be transcribed.")
    source = _av.read(work.source, work.source_mime)
    track = source.sound
    if track is None:
        raise NoSound("The file has no sound track.")
    path = work.scratch / "voice.raw"
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-v", "warning"),
        *_ffmpeg.input_args(work.source, work.source_mime),
        *("-map", f"0:{track.index}", "-vn", "-sn", "-dn"),
        *("-af", f"aresample={RATE_HZ}:async=1:first_pts=0", "-ac", "1", "-f", "s16le", "pipe:1"),
    ]
    progress(0.0, source.duration_s or 0.0)
    written = 0
    try:
        with work.tools.spawn(argv, name="ffmpeg", stdout=True) as program, path.open("wb") as file:
            assert program.stdout is not None
            while block := program.stdout.read(_BLOCK_BYTES):
                file.write(block)
                written += len(block)
                if source.duration_s:
                    progress(min(1.0, written / _BYTES_A_SECOND / source.duration_s), source.duration_s)
    except ToolFailed as error:
        if written < _BYTES_A_SECOND // 2:
            raise _ffmpeg.named(error, work.source_mime, "sound") from error
        # A file cut off in the middle: what could be decoded is heard, as players do.
    return Sound(path=path, samples=written // 2)


def write_wav(samples: NDArray[np.int16], file: IO[bytes]) -> None:
    """A WAV file of 16 kHz mono."""
    import wave

    with wave.open(file, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE_HZ)
        target.writeframes(samples.tobytes())
