"""faster-whisper, run as a program of its own (`python _speech_whisper.py PIECES PROCESSES FILE MODEL LANGUAGE THREADS
LIKELY`), so that its gigabytes go when it goes. LANGUAGE is "" for whatever is spoken in the first piece it gets;
LIKELY are words that may be said, or "".

PIECES has a line for each piece: number, first and last sample in FILE, which is 16 kHz, 16 bit, mono. What it says is
in _speech_farm; it is one process, whatever PROCESSES says. An answer is
{"language": code, "turns": [{"text", "words": [[word, start s, end s, probability in [0, 1]], …]}, …]}, times within
the piece. Imports libraries and nothing of ours.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def hear(model: Any, samples: bytes, language: str | None, likely: str | None) -> dict[str, Any]:
    """The utterances of a piece."""
    import numpy as np

    wave = np.frombuffer(samples, np.int16).astype(np.float32) / 32768
    # What it said before is no guide here: pieces come in any order, and it makes whisper repeat itself.
    segments, told = model.transcribe(
        wave,
        language=language,
        word_timestamps=True,
        condition_on_previous_text=False,
        vad_filter=True,
        hotwords=likely,
    )
    turns = [
        {
            "text": segment.text.strip(),
            "start": segment.start,
            "end": segment.end,
            "words": [
                [word.word.strip(), word.start, word.end, min(1.0, max(0.0, word.probability))]
                for word in segment.words or ()
                if word.word.strip()
            ],
        }
        for segment in segments
    ]
    return {"language": told.language, "turns": turns}


def main() -> None:
    """Serve until stdin ends."""
    say("begun")
    pieces, _, path, folder, language, threads, likely = sys.argv[1:8]
    from faster_whisper import WhisperModel

    # Eight bits are what processors do fastest; of the words, they change few.
    model = WhisperModel(
        folder, device="cpu", compute_type="int8", cpu_threads=int(threads), num_workers=1, local_files_only=True
    )
    spoken = language or None
    say("loaded")
    with open(path, "rb") as file, open(pieces, encoding="ascii") as lines:
        for line in lines:
            piece, first, last = (int(word) for word in line.split())
            file.seek(2 * first)
            heard = hear(model, file.read(2 * (last - first)), spoken, likely or None)
            spoken = spoken or heard["language"]
            say({"piece": piece, "heard": heard})


def say(said: Any) -> None:
    """A line on stdout."""
    sys.stdout.write(json.dumps([os.getpid(), said]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
