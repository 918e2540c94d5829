"""One pocketsphinx decoder, run as a program of its own (`python _speech_sphinx.py FILE`): it holds Python's lock while
it decodes, so several at once are several processes; and a crash of the C library is then a tool's failure.

It says its process id as it begins, and "true" once it is loaded. Each line of stdin is [first sample, last sample] of
a file of 16 kHz, 16 bit, mono; each gets a line on stdout:
[[word, start s, end s, posterior in [0, 1]], …], times within the piece. Before that come lines that say how many
seconds of the piece it has been through once, and how much processor time it has used in all: {"at": s, "used": s}.
Imports the library and nothing of ours.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any

RATE_HZ = 16_000
FRAME_S = 0.01
BLOCK_S = 0.5
_BLOCK_BYTES = 2 * round(BLOCK_S * RATE_HZ)
_FEATURES = "features"
_GRAMMAR = "#JSGF V1.0; grammar features; public <word> = a;"
_VARIANT = re.compile(r"\(\d+\)$")


def hear(decoder: Any, samples: bytes, tell: Callable[[float], None]) -> list[tuple[str, float, float, float]]:
    """The words of one utterance, heard by a decoder that `prepare` has seen. `tell` gets the second it has come to,
    half a second at a time."""
    mean = _mean(decoder, samples)
    decoder.start_utt()
    for at in range(0, len(samples), _BLOCK_BYTES):
        # As when the whole is given at once; else the mean follows the sound, and words are heard worse.
        decoder.set_cmn(mean)
        decoder.process_raw(samples[at : at + _BLOCK_BYTES])
        tell(min(at + _BLOCK_BYTES, len(samples)) / 2 / RATE_HZ)
    decoder.end_utt()
    return words(decoder)


def words(decoder: Any) -> list[tuple[str, float, float, float]]:
    """Those of the utterance that has ended. Silence, breath and noise that the decoder marks as such are left out."""
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


def prepare(decoder: Any) -> None:
    """Give a decoder what `hear` needs beside its model."""
    decoder.add_jsgf_string(_FEATURES, _GRAMMAR)


def _mean(decoder: Any, samples: bytes) -> str:
    """The mean of an utterance's cepstra, which the decoder takes off them. It tells that of whole utterances only, so
    this is one in which it looks for a single word: 15 ms for five seconds."""
    search, before = decoder.current_search(), decoder.get_cmn(False)
    decoder.activate_search(_FEATURES)
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True, no_search=True)
    mean = str(decoder.get_cmn(False))
    decoder.end_utt()
    decoder.activate_search(search)
    return before if "nan" in mean else mean  # nothing at all is heard in it


def main() -> None:
    """Serve until stdin ends."""
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL")
    prepare(decoder)

    def say(said: Any) -> None:
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()

    say(True)
    with open(sys.argv[1], "rb") as file:
        for line in sys.stdin:
            first, last = json.loads(line)
            file.seek(2 * first)
            samples = file.read(2 * (last - first))
            say(hear(decoder, samples, lambda at_s: say({"at": at_s, "used": time.process_time()})))
    os._exit(0)  # to take the model apart first would take as long as to hear a quarter of a second


if __name__ == "__main__":
    main()
