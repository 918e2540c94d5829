"""The kind `speech` with weights of the operator's: the real loading code, over a model made here that says what it is
told to; and with the small models that can be fetched."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support import models as kept
from tests.support import voices, whisper
from tests.support.voices import passage, silence

from mediamill import models
from mediamill.core.errors import ToolFailed
from mediamill.core.speech import Transcriber, Word, hears
from mediamill.engines import _speech_turns, _speech_whisper
from mediamill.engines import whisper as whisper_engine
from mediamill.engines._speech_voice import Span
from mediamill.kinds import speech

SAYS = "Good evening, this is a test. Nobody said that."


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper.make(tmp_path_factory.mktemp("weights") / "tiny", SAYS)


@pytest.fixture
def chosen(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDIAMILL_STT_MODEL", str(weights))
    return weights


def hear(tmp_path: Path, *parts: voices.Samples, language: str | None = None) -> voices.Done:
    source = voices.write(tmp_path / "said.flac", *parts)
    return voices.run("speech", speech.Options(language=language), source, "audio/flac", tmp_path / "work")


@pytest.mark.usefixtures("chosen")
def test_weights_that_are_named_are_used_with_their_words_and_times(tmp_path: Path) -> None:
    done = hear(tmp_path, silence(3.0), passage("meeting").part(0, 8).samples)

    assert (done.details["engine"], done.details["quality"]) == ("whisper", "full")
    assert done.json["text"] == ["Good evening, this is a test.", "Nobody said that."]
    words = [word for turn in done.json["timeline"] for word in turn["words"]]
    assert [word["text"] for word in words] == SAYS.split()
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert 2.7 < times[0] < 3.2
    assert 4.6 < times[-1] < 5.2
    assert all(word["confidence"] > 0.9 for word in words)


@pytest.mark.usefixtures("chosen")
def test_the_language_is_found_out(tmp_path: Path) -> None:
    assert hear(tmp_path, passage("meeting").part(0, 8).samples).json["languages"] == ["en"]


def test_another_language_is_found_out_and_one_that_is_given_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    german = whisper.make(tmp_path / "german", "Guten Abend zusammen", language="de")
    monkeypatch.setenv("MEDIAMILL_STT_MODEL", str(german))
    spoken = passage("meeting").part(0, 8).samples

    found = hear(tmp_path, spoken).json
    assert (found["languages"], found["text"]) == (["de"], ["Guten Abend zusammen"])
    assert hear(tmp_path, spoken, language="fr").json["languages"] == ["fr"]


@pytest.mark.usefixtures("chosen")
@pytest.mark.parametrize("name", ["silence", "white noise", "music"])
def test_a_model_is_not_asked_where_nobody_speaks(name: str, tmp_path: Path) -> None:
    assert hear(tmp_path, voices.no_speech(name)).json["timeline"] == []


@pytest.mark.usefixtures("chosen")
def test_words_where_nobody_speaks_are_dropped(tmp_path: Path) -> None:
    # The model speaks for two seconds, whatever it hears; the woman says "Welcome to" and no more.
    done = hear(tmp_path, passage("meeting").part(0, 2).samples, silence(4.0))

    words = [word for turn in done.json["timeline"] for word in turn["words"]]
    assert 0 < len(words) < len(SAYS.split())
    assert all(word["end"] < 1.3 for word in words)


def test_weights_that_cannot_be_loaded_are_a_failure_of_the_tool(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in weights.iterdir():
        (broken / path.name).write_bytes(path.read_bytes()[:1000])
    monkeypatch.setenv("MEDIAMILL_STT_MODEL", str(broken))

    with pytest.raises(ToolFailed) as failed:
        hear(tmp_path, passage("meeting").part(0, 8).samples)
    assert str(tmp_path) not in str(failed.value)


def test_the_operator_chooses_the_engine(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def first() -> str:
        return voices.installed().offering(Transcriber)[0].name

    assert first() == "pocketsphinx"
    monkeypatch.setenv("MEDIAMILL_STT_MODEL", str(weights))
    assert first() == "whisper"
    monkeypatch.setenv("MEDIAMILL_STT_BASE_URL", "http://127.0.0.1:9/v1")
    assert first() == "openai"
    for name in ("pocketsphinx", "whisper", "openai", "assemblyai"):
        monkeypatch.setenv("MEDIAMILL_STT_ENGINE", name)
        assert [engine.name for engine in voices.installed().offering(Transcriber)] == [name]


def test_an_engine_that_is_chosen_and_lacks_something_says_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIAMILL_STT_ENGINE", "whisper")
    monkeypatch.setenv("MEDIAMILL_STT_MODEL", str(tmp_path))

    lacking = speech.KIND.missing(voices.installed())

    assert lacking is not None
    assert "chooses whisper" in lacking.reason
    assert "model.bin" in lacking.reason
    assert "MEDIAMILL_STT_MODEL" in lacking.remedy


def test_the_model_made_here_is_laid_out_as_published_ones_are(weights: Path) -> None:
    vocabulary = json.loads((weights / "vocabulary.json").read_text())

    assert len(vocabulary) == 51_865
    assert vocabulary[50_257:50_260] == ["<|endoftext|>", "<|startoftranscript|>", "<|en|>"]
    assert vocabulary[-1] == "<|30.00|>"


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small model of many languages, from where it is published."""
    monkeypatch.setenv(models.SETTING, str(kept.folder_or_skip("whisper_base")))


@pytest.fixture(params=["base", "tiny"])
def fetched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the small models alone; its name."""
    monkeypatch.setenv(models.SETTING, str(kept.folder_or_skip(f"whisper_{request.param}")))
    monkeypatch.setenv("MEDIAMILL_STT_ENGINE", f"whisper-{request.param}")
    return f"whisper-{request.param}"


def timed(word: Mapping[str, Any]) -> dict[str, Any]:
    return {"start_s": word["start"], "end_s": word["end"], "text": word["text"]}


@pytest.mark.parametrize("name", voices.NAMES)
def test_a_small_model_writes_down_what_is_said_with_stops(name: str, fetched: str, tmp_path: Path) -> None:
    spoken = passage(name)

    done = hear(tmp_path, spoken.samples)

    assert (done.details["engine"], done.details["quality"]) == (fetched, "draft")
    text, wanted = " ".join(done.json["text"]), voices.plain(spoken.text)
    assert voices.errors(wanted, voices.plain(text)) <= 0.12 * len(wanted)
    assert (text[0].isupper(), text[-1]) == (True, ".")
    assert done.json["languages"] == ["en"]
    heard = [Word(**word) for turn in done.json["timeline"] for word in map(timed, turn["words"])]
    off = sorted(abs(one.start_s - other.start_s) for one, other in voices.matched(spoken.words, heard))
    assert off[len(off) // 2] < 0.03
    assert off[int(len(off) * 0.9)] < 0.1


@pytest.mark.usefixtures("fetched")
def test_a_small_model_hears_a_long_sound_with_several_processes(tmp_path: Path) -> None:
    spoken = [passage(name) for name in voices.NAMES * 2]

    done = hear(tmp_path, *(part for one in spoken for part in (one.samples, silence(1.5))))

    wanted = voices.plain(" ".join(one.text for one in spoken))
    assert voices.errors(wanted, voices.plain(" ".join(done.json["text"]))) <= 0.1 * len(wanted)
    words = [word for turn in done.json["timeline"] for word in turn["words"]]
    assert [word["start"] for word in words] == sorted(word["start"] for word in words)
    fractions = [fraction for _, fraction in done.reports if fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.9


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize("name", ["silence", "white noise", "music"])
def test_a_small_model_makes_nothing_of_noise(name: str, tmp_path: Path) -> None:
    assert hear(tmp_path, voices.no_speech(name)).json["timeline"] == []


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("language", [None, "de"])
def test_another_language_is_heard_as_what_it_is(language: str | None, tmp_path: Path) -> None:
    """Whisper's model for English makes of this "Thank you for watching!"."""
    spoken = passage("german")

    done = hear(tmp_path, spoken.samples, language=language)

    assert (done.details["engine"], done.json["languages"]) == ("whisper-base", ["de"])
    wanted = voices.plain(spoken.text)
    assert voices.errors(wanted, voices.plain(" ".join(done.json["text"]))) <= 0.15 * len(wanted)


@pytest.mark.usefixtures("base")
def test_a_language_that_is_none_is_refused() -> None:
    offered = voices.installed().offering(Transcriber)

    assert offered[0].name == "whisper-base"
    assert [engine.name for engine in offered if hears(engine, "de")] == ["whisper-base"]
    assert not any(hears(engine, "xx") for engine in offered)


def test_the_likeliest_language_of_some_pieces_is_taken() -> None:
    asked: list[int] = []

    class Model:
        model = SimpleNamespace(is_multilingual=True)

        def detect_language(self, wave: Sequence[float]) -> tuple[str, float, list[tuple[str, float]]]:
            asked.append(len(wave))
            return "", 0.0, {1: [("fr", 0.5), ("en", 0.4)], 2: [("en", 0.9)], 3: [("fr", 0.8)]}[len(wave)]

    def found(*lengths: int) -> tuple[str, float]:
        asked.clear()
        return _speech_whisper.language_of(Model(), (bytes(2 * length) for length in lengths))

    assert (found(2, 1), asked) == (("en", 0.9), [2])
    assert (found(1, 2), asked) == (("en", 0.65), [1, 2])
    assert (found(1, 1, 3, 2), asked) == (("fr", pytest.approx(0.6)), [1, 1, 3])


def test_what_whisper_itself_holds_for_unlikely_is_not_said() -> None:
    def segment(text: str, end: float, likely: float) -> SimpleNamespace:
        word = SimpleNamespace(word=f" {text}", start=end - 1, end=end, probability=0.5)
        return SimpleNamespace(text=f" {text}", start=end - 1, end=end, words=[word], avg_logprob=likely)

    class Model:
        def transcribe(self, wave: Any, **asked: Any) -> tuple[list[SimpleNamespace], SimpleNamespace]:
            return [segment("made", 1.0, -2.4), segment("heard", 2.0, -1.1)], SimpleNamespace(language="ar")

    told: list[float] = []
    heard = _speech_whisper.hear(Model(), bytes(64), "ar", None, told.append)

    assert [turn["text"] for turn in heard["turns"]] == ["heard"]
    assert told == [1.0, 2.0]


@pytest.mark.parametrize(
    ("said", "spaced", "words"),
    [
        (" Aujourd|'hui| peut|-être| oui", True, ["Aujourd'hui", "peut-être", "oui"]),
        ("-Vous| 'tis| ", True, ["-Vous", "'tis"]),
        ("日|本", False, ["日", "本"]),
    ],
)
def test_a_word_is_what_stands_between_spaces(said: str, spaced: bool, words: list[str]) -> None:
    parts = [
        SimpleNamespace(word=part, start=float(at), end=at + 1.0, probability=1 - at / 10)
        for at, part in enumerate(said.split("|"))
    ]

    found = _speech_whisper.whole(parts, spaced=spaced)

    assert [word[0] for word in found] == words
    if words[0] == "Aujourd'hui":
        assert found[0][1:] == [0.0, 2.0, 0.9]


def test_words_go_where_they_are_said_unless_that_is_far_away() -> None:
    words: list[list[Any]] = [["one", 1.0, 1.4, 0.9], ["two", 1.5, 1.8, 0.9], ["three", 2.0, 2.4, 0.9]]
    turns = [{"text": "one two three", "start": 1.0, "end": 2.4, "words": words}, {"text": "?", "words": []}]

    _speech_whisper.align(turns, b"", lambda said, samples: [(0.9, 1.3), (3.5, 3.9), None])

    assert words == [["one", 0.9, 1.3, 0.9], ["two", 1.5, 1.8, 0.9], ["three", 2.0, 2.4, 0.9]]
    assert (turns[0]["start"], turns[0]["end"]) == (0.9, 2.4)


def test_a_word_that_whisper_stretches_over_a_pause_goes_where_it_is_said() -> None:
    words: list[list[Any]] = [["not", 3.7, 4.2, 0.9], ["what", 4.2, 5.5, 0.9], ["your", 5.5, 5.8, 0.9]]

    _speech_whisper.align([{"text": "", "words": words}], b"", lambda said, samples: [None, (5.3, 5.5), None])

    assert words[1] == ["what", 5.3, 5.5, 0.9]


def test_words_stay_in_order() -> None:
    words: list[list[Any]] = [["one", 1.0, 1.2, 0.9], ["two", 1.3, 1.4, 0.9]]

    _speech_whisper.align([{"text": "", "words": words}], b"", lambda said, samples: [(1.4, 1.6), None])

    assert words == [["one", 1.4, 1.6, 0.9], ["two", 1.4, 1.4, 0.9]]


def test_without_pocketsphinx_whispers_own_times_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _speech_whisper.aligner() is not None
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pocketsphinx" else find(name))
    assert _speech_whisper.aligner() is None


def said(text: str, pauses: Mapping[int, float]) -> list[Word]:
    """Words of a quarter of a second each, with pauses before some of them."""
    at_s, made = 0.0, []
    for number, word in enumerate(text.split()):
        at_s += pauses.get(number, 0.0)
        made.append(Word(start_s=at_s, end_s=at_s + 0.25, text=word))
        at_s += 0.25
    return made


def test_turns_are_sentences() -> None:
    words = said("Dr. No left. “Why?” he asked. So it went on and on", {1: 0.5, 8: 1.5})

    found = [turn.text for turn in _speech_turns.sentences(words)]

    assert found == ["Dr. No left.", "“Why?”", "he asked.", "So it", "went on and on"]
    assert [word for turn in _speech_turns.sentences(words) for word in turn.words] == words


def test_words_without_spaces_between_them_stay_as_the_model_divides_them() -> None:
    words = [["日", 0.0, 0.2, 0.9], ["本", 0.2, 0.4, 0.9]]
    answer = {"turns": [{"text": "日本", "start": 0.0, "end": 0.4, "words": words}]}

    [turn] = whisper_engine._turns(answer, Span(start_s=2.0, end_s=4.0))

    assert (turn.text, turn.start_s, len(turn.words)) == ("日本", 2.0, 2)
