"""The C library of pocketsphinx, called without the class that its package has for it."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from tests.support.voices import passage

from mediamill.engines import _speech_sphinx, pocketsphinx


@pytest.fixture(scope="module")
def spoken() -> bytes:
    return (passage("harbour").part(0, 12).samples * 32767).astype("<i2").tobytes()


@pytest.mark.skipif(sys.version_info[:2] not in ((3, 11), (3, 13)), reason="the package is not built for this Python")
def test_it_says_what_the_class_of_the_package_says(spoken: bytes) -> None:
    bare = importlib.import_module("pocketsphinx").Decoder(loglevel="FATAL")
    bare.start_utt()
    bare.process_raw(spoken, full_utt=True)
    bare.end_utt()
    decoder = _speech_sphinx.load()
    decoder.start()
    decoder.process(spoken, whole=True)
    decoder.end()
    assert len(list(decoder.parts())) > 10
    assert list(decoder.parts()) == [
        (part.word, part.start_frame, part.end_frame, pytest.approx(part.prob)) for part in bare.seg()
    ]


def test_utterances_leave_nothing_behind(spoken: bytes) -> None:
    decoder = _speech_sphinx.load()
    heard = [
        [word for word, *_ in _speech_sphinx.hear(decoder, samples, lambda at_s: None)]
        for samples in (spoken, np.zeros(16_000, "<i2").tobytes(), spoken)
    ]
    assert len(heard[0]) > 10
    assert heard == [heard[0], [], heard[0]]


def test_what_the_library_refuses_is_told() -> None:
    decoder = _speech_sphinx.Decoder()
    with pytest.raises(RuntimeError, match="ps_activate_search"):
        decoder.search = "none"
    with pytest.raises(RuntimeError, match="ps_load_dict"):
        decoder.load_dict(Path("/nowhere"))


def test_without_its_package_the_engine_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for found in (None, ModuleSpec("pocketsphinx", None, origin=str(tmp_path / "__init__.py"))):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, found=found: found)
        missing = pocketsphinx.PocketSphinx().missing()
        assert missing is not None
        assert "docs/how-to/speech.md" in (missing.remedy or "")


def test_words_that_are_known_are_found_where_they_are_said(spoken: bytes) -> None:
    wanted = passage("harbour").part(0, 12).words
    decoder = _speech_sphinx.load_aligner()

    found = _speech_sphinx.aligned(decoder, [word.text.title() + "," for word in wanted], spoken)

    off = [abs(one[0] - word.start_s) for one, word in zip(found, wanted, strict=True) if one is not None]
    assert len(off) == len(wanted)
    assert sorted(off)[len(off) // 2] < 0.03


def test_a_word_of_no_dictionary_is_found_between_its_neighbours(spoken: bytes) -> None:
    wanted = passage("harbour").part(0, 12).words
    said = [word.text for word in wanted]
    said[1], said[5] = "Hârbr", "—"  # a name, and what is no word
    decoder = _speech_sphinx.load_aligner()

    found = _speech_sphinx.aligned(decoder, said, spoken)

    assert found[5] is None
    assert found[1] is not None
    assert abs(found[1][0] - wanted[1].start_s) < 0.1


@pytest.mark.parametrize("samples", [b"", bytes(2), bytes(32_000), bytes(range(256)) * 250])
def test_words_that_nobody_says_are_not_found(samples: bytes, spoken: bytes) -> None:
    words = [word.text for word in passage("harbour").words] * 5
    decoder = _speech_sphinx.load_aligner()

    assert _speech_sphinx.aligned(decoder, words, samples) == [None] * len(words)
    said = [word.text for word in passage("harbour").part(0, 12).words]
    assert None not in _speech_sphinx.aligned(decoder, said, spoken)


@pytest.mark.parametrize(
    ("written", "spelt"),
    [("Café,", "cafe"), ("it’s", "it's"), ("'Tis", "tis"), ("$2,026.", "2026"), ("well-known", "wellknown"), ("…", "")],
)
def test_words_are_spelt_as_the_dictionary_has_them(written: str, spelt: str) -> None:
    assert _speech_sphinx.spell(written) == spelt
    assert bool(_speech_sphinx.phones(spelt)) == bool(spelt)
