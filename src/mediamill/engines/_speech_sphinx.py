"""pocketsphinx decoders, run as a program of their own (`python _speech_sphinx.py PIECES PROCESSES FILE`): the library
holds Python's lock while it decodes, so several at once are several processes; and a crash of it is a tool's failure.

The model is loaded once, and processes that hear are forked from the one that has it: they share its memory, and a
second of processor time is not spent anew by each. FILE is 16 kHz, 16 bit, mono. Each line of PIECES is as long as the
others: number, first and last sample of a piece. What it says is in _speech_farm; its answers are
[[word, start s, end s, posterior in [0, 1]], …], times within the piece. Imports the library and nothing of ours.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

RATE_HZ = 16_000
FRAME_S = 0.01
BLOCK_S = 0.5
_BLOCK_BYTES = 2 * round(BLOCK_S * RATE_HZ)
_WORDS, _FEATURES = "words", "features"
_DICTIONARY = 0.45
"""The share of loading that is done with the dictionary; the language model is the rest."""
_GRAMMAR = "#JSGF V1.0; grammar features; public <word> = a;"
_VARIANT = re.compile(r"\(\d+\)$")


def hear(decoder: Any, samples: bytes, tell: Callable[[float], None]) -> list[tuple[str, float, float, float]]:
    """The words of one utterance, heard by a decoder as `load` gives it. `tell` gets the second it has come to,
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


def load(tell: Callable[[float], None] = lambda _: None) -> Any:
    """A decoder with all that `hear` needs. `tell` gets the share of the work that is done, between its steps."""
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL", lm=None, dict=None)
    decoder.load_dict(_model("cmudict-en-us.dict"), None, None)
    tell(_DICTIONARY)
    decoder.add_lm_file(_WORDS, _model("en-us.lm.bin"))
    decoder.activate_search(_WORDS)
    decoder.add_jsgf_string(_FEATURES, _GRAMMAR)
    return decoder


def _model(name: str) -> str:
    """A file of the model that comes in the package, which is the one it takes by itself."""
    from pocketsphinx import get_model_path

    path: str = get_model_path(f"en-us/{name}")
    return path


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


class _Mouth:
    """Says lines on stdout, one process at a time: longer ones than a pipe takes at once would mix."""

    def __init__(self, pieces: int) -> None:
        self._pieces = pieces

    def say(self, said: Any) -> None:
        line = memoryview(json.dumps([os.getpid(), said]).encode() + b"\n")
        fcntl.lockf(self._pieces, fcntl.LOCK_EX)
        while line:
            line = line[os.write(1, line) :]
        fcntl.lockf(self._pieces, fcntl.LOCK_UN)


def _serve(decoder: Any, pieces: int, path: str, mouth: _Mouth) -> None:
    """Hear pieces until none is left. The processes share the file's position, so that each is taken once."""

    def tell(piece: int, at_s: float) -> None:
        mouth.say({"piece": piece, "at": at_s, "used": time.process_time()})

    line_bytes = len(os.pread(pieces, 256, 0).split(b"\n", 1)[0]) + 1
    with open(path, "rb") as file:
        while line := os.read(pieces, line_bytes):
            piece, first, last = (int(word) for word in line.split())
            tell(piece, 0.0)
            file.seek(2 * first)
            heard = hear(decoder, file.read(2 * (last - first)), partial(tell, piece))
            mouth.say({"piece": piece, "heard": heard})


def _fork(processes: int, work: Callable[[], None]) -> None:
    """Do the work in so many processes. When one of them dies, so does this one, in the same way."""
    started = set()
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            work()
            os._exit(0)
        started.add(pid)
    while started:
        pid, status = os.wait()
        started.discard(pid)
        if status == 0:
            continue
        for other in started:
            os.kill(other, signal.SIGKILL)
            os.waitpid(other, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            os.kill(os.getpid(), -code)
        os._exit(abs(code))


def main() -> None:
    """Hear all pieces."""
    path, processes, sound = sys.argv[1:4]
    pieces = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    mouth = _Mouth(pieces)
    mouth.say("begun")
    decoder = load(lambda share: mouth.say({"loading": share}))
    mouth.say("loaded")
    if int(processes) > 1:
        _fork(int(processes), lambda: _serve(decoder, pieces, sound, mouth))
    else:
        _serve(decoder, pieces, sound, mouth)
    os._exit(0)  # to take the model apart first would take as long as to hear a quarter of a second


if __name__ == "__main__":
    main()
