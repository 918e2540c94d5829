"""One pocketsphinx decoder, run as a program of its own (`python _speech_sphinx.py FILE`): it holds Python's lock while
it decodes, so several at once are several processes; and a crash of the C library is then a tool's failure.

It says its process id as it begins, and "true" once it is loaded. Each line of stdin is [first sample, last sample] of
a file of 16 kHz, 16 bit, mono; each gets a line on stdout:
[[word, start s, end s, posterior in [0, 1]], …], times within the piece. Imports the library and nothing of ours.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

RATE_HZ = 16_000
FRAME_S = 0.01
_VARIANT = re.compile(r"\(\d+\)$")


def hear(decoder: Any, samples: bytes) -> list[tuple[str, float, float, float]]:
    """The words of one utterance. Silence, breath and noise that the decoder marks as such are left out."""
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()
    if decoder.hyp() is None:
        return []
    return [
        (
            _VARIANT.sub("", part.word),
            round(part.start_frame * FRAME_S, 2),
            round((part.end_frame + 1) * FRAME_S, 2),
            round(min(1.0, max(0.0, part.prob)), 4),
        )
        for part in decoder.seg()
        if part.word[0] not in "<["
    ]


def main() -> None:
    """Serve until stdin ends."""
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL")
    sys.stdout.write("true\n")
    sys.stdout.flush()
    with open(sys.argv[1], "rb") as file:
        for line in sys.stdin:
            first, last = json.loads(line)
            file.seek(2 * first)
            sys.stdout.write(json.dumps(hear(decoder, file.read(2 * (last - first)))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
