"""pocketsphinx decoders, run as a program of their own (`python _speech_sphinx.py PIECES PROCESSES FILE`): a crash of
the library is a tool's failure.

The model is loaded once, and processes that hear are forked from the one that has it: they share its memory, and a
second of processor time is not spent anew by each. FILE is 16 kHz, 16 bit, mono. Each line of PIECES is as long as the
others: number, first and last sample of a piece. What it says is in _speech_farm; its answers are
[[word, start s, end s, posterior in [0, 1]], …], times within the piece. Other programs have it find words that are
known already.

The library is the C one inside of pocketsphinx's package, by its own interface (pocketsphinx.h, version 5): the package
is built for some Pythons and not for others, and what is in it serves all of them.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import runpy
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediamill.engines._speech_program import Pieces

RATE_HZ = 16_000
FRAME_S = 0.01
BLOCK_S = 0.5
_BLOCK_BYTES = 2 * round(BLOCK_S * RATE_HZ)
_WORDS, _FEATURES = "words", "features"
_DICTIONARY = 0.45
"""The share of loading that is done with the dictionary; the language model is the rest."""
_GRAMMAR = "#JSGF V1.0; grammar features; public <word> = a;"
_LIBRARY = "_pocketsphinx*.so"
_PHONES = {
    **dict(zip("abcdefghijklm", ["AE", "B", "K", "D", "EH", "F", "G", "HH", "IH", "JH", "K", "L", "M"], strict=True)),
    **dict(zip("nopqrstuvwyz", ["N", "AA", "P", "K", "R", "S", "T", "AH", "V", "W", "IY", "Z"], strict=True)),
    **{"x": "K S", "0": "Z IH R OW", "1": "W AH N", "2": "T UW", "3": "TH R IY", "4": "F AO R", "5": "F AY V"},
    **{"6": "S IH K S", "7": "S EH V AH N", "8": "EY T", "9": "N AY N"},
}
"""Of cmudict's, for each letter and figure."""
_VARIANT = re.compile(r"\(\d+\)$")


_TEXT, _SIZE, _INT, _AT = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "ps_config_init": (_AT, _AT),
    "ps_config_set_str": (_AT, _AT, _TEXT, _TEXT),
    "ps_config_free": (_INT, _AT),
    "ps_init": (_AT, _AT),
    "ps_free": (_INT, _AT),
    "ps_load_dict": (_INT, _AT, _TEXT, _TEXT, _TEXT),
    "ps_add_lm_file": (_INT, _AT, _TEXT, _TEXT),
    "ps_add_jsgf_string": (_INT, _AT, _TEXT, _TEXT),
    "ps_lookup_word": (_AT, _AT, _TEXT),
    "ps_add_word": (_INT, _AT, _TEXT, _TEXT, _INT),
    "ps_set_align_text": (_INT, _AT, _TEXT),
    "ps_activate_search": (_INT, _AT, _TEXT),
    "ps_current_search": (_TEXT, _AT),
    "ps_get_cmn": (_TEXT, _AT, _INT),
    "ps_set_cmn": (_INT, _AT, _TEXT),
    "ps_start_utt": (_INT, _AT),
    "ps_process_raw": (_INT, _AT, _TEXT, _SIZE, _INT, _INT),
    "ps_end_utt": (_INT, _AT),
    "ps_get_hyp": (_TEXT, _AT, _AT),
    "ps_seg_iter": (_AT, _AT),
    "ps_seg_next": (_AT, _AT),
    "ps_seg_word": (_TEXT, _AT),
    "ps_seg_frames": (None, _AT, _AT, _AT),
    "ps_seg_prob": (_INT, _AT, _AT, _AT, _AT),
    "ps_get_logmath": (_AT, _AT),
    "logmath_exp": (ctypes.c_double, _AT, _INT),
}
"""What each returns, and what it takes."""


def package() -> Path | None:
    """The folder of pocketsphinx's package, which is not imported: it may be one for another Python."""
    found = importlib.util.find_spec("pocketsphinx")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    return folder if any(folder.glob(_LIBRARY)) else None


@cache
def _library() -> ctypes.CDLL:
    folder = package()
    if folder is None:
        raise ModuleNotFoundError("pocketsphinx is not installed")
    # Lazily: the functions of Python that the rest of the file is about are not all there, and never called.
    library = ctypes.CDLL(str(next(folder.glob(_LIBRARY))), mode=os.RTLD_LAZY)
    for name, (returned, *taken) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = returned, taken
    return library


class Decoder:
    """A recogniser with the acoustic model of the package, and no words yet."""

    def __init__(self) -> None:
        self._ps: int | None = None
        self._c = _library()
        config = self._c.ps_config_init(None)
        for name, text in (("loglevel", b"FATAL"), ("hmm", os.fsencode(_model("en-us")))):
            self._c.ps_config_set_str(config, name.encode(), text)
        self._ps = self._c.ps_init(config)
        self._c.ps_config_free(config)  # the decoder keeps it
        if not self._ps:
            raise RuntimeError("PocketSphinx could not be set up")

    def __del__(self) -> None:
        if self._ps:
            self._c.ps_free(self._ps)

    def load_dict(self, path: Path) -> None:
        self._call("ps_load_dict", os.fsencode(path), None, None)

    def add_words(self, name: str, path: Path) -> None:
        """A search for what a language model knows."""
        self._call("ps_add_lm_file", name.encode(), os.fsencode(path))

    def add_grammar(self, name: str, grammar: str) -> None:
        """A search for what a JSGF grammar allows."""
        self._call("ps_add_jsgf_string", name.encode(), grammar.encode())

    def add_word(self, word: str, phones: str) -> None:
        """A word that the dictionary lacks."""
        if self._c.ps_lookup_word(self._ps, word.encode()) is None:
            self._call("ps_add_word", word.encode(), phones.encode(), 1)

    def expect(self, words: Sequence[str]) -> None:
        """Look for nothing but these words, one after another; all are in the dictionary."""
        self._call("ps_set_align_text", " ".join(words).encode())

    @property
    def search(self) -> str:
        """The name of the search that is used."""
        name: bytes = self._c.ps_current_search(self._ps)
        return name.decode()

    @search.setter
    def search(self, name: str) -> None:
        self._call("ps_activate_search", name.encode())

    @property
    def mean(self) -> str:
        """That of the cepstra, as far as it is known."""
        mean: bytes = self._c.ps_get_cmn(self._ps, 0)
        return mean.decode()

    @mean.setter
    def mean(self, mean: str) -> None:
        self._call("ps_set_cmn", mean.encode())

    def start(self) -> None:
        """An utterance begins."""
        self._call("ps_start_utt")

    def process(self, samples: bytes, *, whole: bool = False, search: bool = True) -> None:
        """Take samples in; whole: they are all of the utterance."""
        self._call("ps_process_raw", samples, len(samples) // 2, int(not search), int(whole))

    def end(self) -> None:
        """The utterance ends."""
        self._call("ps_end_utt")

    def parts(self) -> Iterator[tuple[str, int, int, float]]:
        """Each word or noise of the utterance that has ended: its first and last frame, and how likely it is."""
        if self._c.ps_get_hyp(self._ps, None) is None:
            return
        first, last, tables = ctypes.c_int(), ctypes.c_int(), self._c.ps_get_logmath(self._ps)
        part = self._c.ps_seg_iter(self._ps)
        while part:
            self._c.ps_seg_frames(part, ctypes.byref(first), ctypes.byref(last))
            likely = self._c.logmath_exp(tables, self._c.ps_seg_prob(part, None, None, None))
            yield self._c.ps_seg_word(part).decode(), first.value, last.value, likely
            part = self._c.ps_seg_next(part)  # freed by this when it was the last

    def _call(self, name: str, *given: Any) -> None:
        if getattr(self._c, name)(self._ps, *given) < 0:
            raise RuntimeError(f"{name} failed")


def hear(decoder: Decoder, samples: bytes, tell: Callable[[float], None]) -> list[tuple[str, float, float, float]]:
    """The words of one utterance, heard by a decoder as `load` gives it. `tell` gets the second it has come to,
    half a second at a time."""
    mean = _mean(decoder, samples)
    decoder.start()
    for at in range(0, len(samples), _BLOCK_BYTES):
        # As when the whole is given at once; else the mean follows the sound, and words are heard worse.
        decoder.mean = mean
        decoder.process(samples[at : at + _BLOCK_BYTES])
        tell(min(at + _BLOCK_BYTES, len(samples)) / 2 / RATE_HZ)
    decoder.end()
    return words(decoder)


def words(decoder: Decoder) -> list[tuple[str, float, float, float]]:
    """Those of the utterance that has ended. Silence, breath and noise that the decoder marks as such are left out."""
    return [
        (
            _VARIANT.sub("", word),
            round(first * FRAME_S, 2),
            round((last + 1) * FRAME_S, 2),
            round(min(1.0, max(0.0, likely)), 4),
        )
        for word, first, last, likely in decoder.parts()
        if word[0] not in "<["
    ]


def load_aligner() -> Decoder:
    """A decoder with all that `aligned` needs."""
    decoder = Decoder()
    decoder.load_dict(_model("cmudict-en-us.dict"))
    return decoder


def aligned(decoder: Decoder, said: Sequence[str], samples: bytes) -> list[tuple[float, float] | None]:
    """When each word, as it is written, is said in an utterance: start and end, s. None for what is no word of letters
    or figures; and for all where they cannot be what is said."""
    spelt = [spell(word) for word in said]
    times: list[tuple[float, float] | None] = [None] * len(said)
    if not any(spelt):
        return times
    for word in filter(None, spelt):
        decoder.add_word(word, phones(word))
    decoder.expect([word for word in spelt if word])
    decoder.start()
    decoder.process(samples, whole=True)
    decoder.end()
    found = words(decoder)
    if [word for word, *_ in found] != [word for word in spelt if word]:
        return times
    for number, (_, start_s, end_s, _) in zip((n for n, word in enumerate(spelt) if word), found, strict=True):
        times[number] = start_s, end_s
    return times


def spell(word: str) -> str:
    """A word as the dictionary has it: "Café," is cafe; "" where it has no letter and no figure."""
    plain = unicodedata.normalize("NFKD", word.lower().replace("’", "'"))
    return "".join(letter for letter in plain if letter in _PHONES or letter == "'").strip("'")


def phones(word: str) -> str:
    """About how a word sounds that is in no dictionary, letter by letter: enough to find it between its neighbours."""
    return " ".join(_PHONES[letter] for letter in word if letter in _PHONES)


def load(tell: Callable[[float], None] = lambda _: None) -> Decoder:
    """A decoder with all that `hear` needs. `tell` gets the share of the work that is done, between its steps."""
    decoder = Decoder()
    decoder.load_dict(_model("cmudict-en-us.dict"))
    tell(_DICTIONARY)
    decoder.add_words(_WORDS, _model("en-us.lm.bin"))
    decoder.search = _WORDS
    decoder.add_grammar(_FEATURES, _GRAMMAR)
    return decoder


def _model(name: str) -> Path:
    """A part of the model that comes in the package."""
    folder = package()
    assert folder is not None
    return folder / "model" / "en-us" / name


def _mean(decoder: Decoder, samples: bytes) -> str:
    """The mean of an utterance's cepstra, which the decoder takes off them. It tells that of whole utterances only, so
    this is one in which it looks for a single word: 15 ms for five seconds."""
    search, before = decoder.search, decoder.mean
    decoder.search = _FEATURES
    decoder.start()
    decoder.process(samples, whole=True, search=False)
    mean = decoder.mean
    decoder.end()
    decoder.search = search
    return before if "nan" in mean else mean  # nothing at all is heard in it


def _serve(decoder: Decoder, pieces: Pieces, sound: str) -> None:
    """Hear pieces until none is left."""
    for piece, samples in pieces.left(sound):
        heard = hear(decoder, samples, partial(pieces.at, piece))
        pieces.say({"piece": piece, "heard": heard})


def main() -> None:
    """Hear all pieces."""
    path, processes, sound = sys.argv[1:4]
    # By its path: a sandbox may not show the folder that our package lies in.
    shared = runpy.run_path(str(Path(__file__).with_name("_speech_program.py")))
    pieces: Pieces = shared["Pieces"](path)
    pieces.say("begun")
    decoder = load(lambda share: pieces.say({"loading": share}))
    pieces.say("loaded")
    if int(processes) > 1:
        shared["fork"](int(processes), lambda: _serve(decoder, pieces, sound))
    else:
        _serve(decoder, pieces, sound)
    os._exit(0)  # to take the model apart first would take as long as to hear a quarter of a second


if __name__ == "__main__":
    main()
