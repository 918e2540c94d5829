"""faster-whisper, run as a program of its own (`python _speech_whisper.py PIECES PROCESSES FILE MODEL LANGUAGE THREADS
LIKELY`), so that its gigabytes go when it goes. LANGUAGE is "" for whatever is spoken in the longest pieces; THREADS
are those of each process; LIKELY are words that may be said, or "".

PIECES has a line for each piece, as long as the others: number, first and last sample in FILE, which is 16 kHz, 16 bit,
mono. What it says is in _speech_farm. Each process loads the model for itself: the library's threads do not live on in
one that is forked. An answer is
{"language": code, "sure": probability in [0, 1], null where it was told, "turns": [{"text", "words": [[word, start s,
end s, probability in [0, 1]], …]}, …]}, times within the piece. English words are looked up in the sound by
pocketsphinx, where that is installed: whisper's own times are a tenth of a second off.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediamill.engines._speech_program import Pieces


Align = Callable[[Sequence[str], bytes], "list[tuple[float, float] | None]"]
"""From words and samples to the start and end of each, s; None where that cannot be told."""
_SURE, _ASKED = 0.7, 3
"""How likely the likeliest language must be, in the mean, before no other piece is asked; and how many are, at most."""
_LEAST_LIKELY = -1.5
"""Mean log-probability of a word's parts. Whisper tries again below -1; what is far below it at last was made up, of a
language that it does not understand or of no speech, and not misheard: in noise as loud as the voice it is -1.1."""
_WITHOUT_SPACES = ("zh", "ja", "th", "lo", "my", "yue")
"""Languages that whisper divides sign by sign."""
_FARTHEST_S = 0.5
"""Beyond where whisper has a word, which it stretches over pauses. What is found farther away is another one, or
noise."""


def hear(
    model: Any, samples: bytes, language: str, likely: str | None, tell: Callable[[float], None]
) -> dict[str, Any]:
    """The utterances of a piece. `tell` gets the second it has come to: it looks at as many windows as it likes."""
    # What it said before is no guide here: pieces come in any order, and it makes whisper repeat itself.
    segments, told = model.transcribe(
        _wave(samples),
        language=language,
        word_timestamps=True,
        condition_on_previous_text=False,
        vad_filter=True,
        hotwords=likely,
    )
    turns = []
    for segment in segments:
        tell(segment.end)
        if segment.avg_logprob < _LEAST_LIKELY:
            continue
        words = whole(segment.words or (), spaced=told.language not in _WITHOUT_SPACES)
        turns.append({"text": segment.text.strip(), "start": segment.start, "end": segment.end, "words": words})
    return {"language": told.language, "turns": turns}


def whole(words: Iterable[Any], *, spaced: bool) -> list[list[Any]]:
    """[text, start s, end s, probability] of each. spaced: what has no space before it belongs to the word before, of
    which the model makes two at an apostrophe or a hyphen."""
    made: list[list[Any]] = []
    for word in words:
        text, likely = word.word.strip(), min(1.0, max(0.0, word.probability))
        if spaced and made and text and not word.word[0].isspace():
            made[-1][0] += text
            made[-1][2:] = word.end, min(made[-1][3], likely)
        elif text:
            made.append([text, word.start, word.end, likely])
    return made


def language_of(model: Any, pieces: Iterable[bytes]) -> tuple[str, float]:
    """What is spoken in some pieces, the first of which say the most, and how likely that is."""
    if not model.model.is_multilingual:
        return "en", 1.0
    likely: Counter[str] = Counter()
    number = 0
    for number, samples in enumerate(pieces, 1):
        _, _, shares = model.detect_language(_wave(samples))
        likely.update(dict(shares))
        if max(likely.values()) >= _SURE * number or number == _ASKED:
            break
    code, shares_of_all = likely.most_common(1)[0]
    return code, shares_of_all / number


def _wave(samples: bytes) -> Any:
    import numpy as np

    return np.frombuffer(samples, np.int16).astype(np.float32) / 32768


def align(turns: Sequence[dict[str, Any]], samples: bytes, find: Align) -> None:
    """Put the words of a piece where they are said."""
    words = [word for turn in turns for word in turn["words"]]
    at_s = 0.0
    for word, found in zip(words, find([word[0] for word in words], samples), strict=True):
        if found is not None and word[1] - _FARTHEST_S <= found[0] and found[1] <= word[2] + _FARTHEST_S:
            word[1:3] = found
        word[1] = max(at_s, word[1])
        word[2] = max(word[1], word[2])
        at_s = word[1]
    for turn in turns:
        if turn["words"]:
            turn["start"], turn["end"] = turn["words"][0][1], turn["words"][-1][2]


def aligner() -> Align | None:
    """pocketsphinx as one, where it is there and can be loaded: 0.1 s."""
    sphinx = runpy.run_path(str(Path(__file__).with_name("_speech_sphinx.py")))
    try:
        decoder = sphinx["load_aligner"]()
    except (ImportError, OSError, RuntimeError):
        return None
    return lambda words, samples: sphinx["aligned"](decoder, words, samples)


def main() -> None:
    """Hear all pieces."""
    path, processes, sound, folder, language, threads, likely = sys.argv[1:8]
    # By its path: a sandbox may not show the folder that our package lies in.
    shared = runpy.run_path(str(Path(__file__).with_name("_speech_program.py")))
    pieces: Pieces = shared["Pieces"](path)
    pieces.say("begun")
    find = aligner() if language in ("", "en") else None
    from faster_whisper import WhisperModel

    agree = shared["agreed"]()

    def serve() -> None:
        if forked:
            pieces.say("begun")
        # Eight bits are what processors do fastest; of the words, they change few.
        model = WhisperModel(
            folder, device="cpu", compute_type="int8", cpu_threads=int(threads), num_workers=1, local_files_only=True
        )
        pieces.say("loaded")
        spoken, sure = language, None
        if not language:
            spoken, sure = json.loads(agree(lambda: json.dumps(language_of(model, pieces.longest(sound)))))
        for piece, samples in pieces.left(sound):
            heard = hear(model, samples, spoken, likely or None, partial(pieces.at, piece))
            if find is not None and heard["language"] == "en":
                align(heard["turns"], samples, find)
            pieces.say({"piece": piece, "heard": {**heard, "sure": sure}})

    forked = int(processes) > 1
    if forked:
        pieces.say("loaded")
        shared["fork"](int(processes), serve)
    else:
        serve()
    os._exit(0)


if __name__ == "__main__":
    main()
