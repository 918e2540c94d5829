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
