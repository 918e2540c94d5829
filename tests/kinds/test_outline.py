"""The kind `outline`, and the division of texts by topic behind it."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from tests.support.av import tone
from tests.support.texts import GERMAN, JAPANESE, TOPICS, article, spoken, transcript
from tests.support.tools import PlainTools
from tests.support.understanding import Done, Said, nobody, run

from mediamill.core.errors import Unavailable, Unsupported
from mediamill.core.language import Passage, Reading
from mediamill.engines import Installed, _words, extractive
from mediamill.kinds import Hint, _text
from mediamill.kinds.outline import KIND, Options


def outlined(source: Path, mime: str, folder: Path, *more: Said) -> Done:
    return run(KIND, source, mime, folder / "scratch", others=[*extractive.PROVIDES, *more])


def given(folder: Path, sentences: list[str], languages: tuple[str, ...] = ("en",)) -> Path:
    path = folder / "talk.json"
    path.write_bytes(msgspec.json.encode(transcript(sentences, languages=languages)))
    return path


def test_an_outline_has_the_documented_shape_and_its_parts_begin_with_their_topics(tmp_path: Path) -> None:
    sentences, firsts = article("bread", "solar", "chess")

    done = outlined(given(tmp_path, sentences), "application/json", tmp_path)

    said = done.json
    assert said.keys() == {"kind", "timeline"}
    assert said["kind"] == "outline"
    assert [part.keys() for part in said["timeline"]] == [{"title", "start", "end"}] * 3
    assert [part["start"] for part in said["timeline"]] == pytest.approx([at * 4 for at in firsts], abs=0.5)
    assert all(before["end"] == after["start"] for before, after in itertools.pairwise(said["timeline"]))
    assert said["timeline"][-1]["end"] == pytest.approx(len(sentences) * 4 - 0.4)
    assert (done.details["engine"], done.details["method"]) == ("extractive", "extractive")


def test_titles_are_phrases_of_their_parts(tmp_path: Path) -> None:
    sentences, _ = article("bread", "solar", "volcano")

    titles = [
        part["title"] for part in outlined(given(tmp_path, sentences), "application/json", tmp_path).json["timeline"]
    ]

    for title, topic in zip(titles, ("bread", "solar", "volcano"), strict=True):
        text = " ".join(TOPICS[topic]).lower()
        assert all(phrase.strip().lower() in text for phrase in title.split(",")), title
    assert len(set(titles)) == 3


def firsts_of(sentences: list[str], languages: tuple[str, ...] = ("en",), most: int = 60) -> list[int]:
    reading = Reading(passages=spoken(sentences), remote=nobody, languages=languages)
    return [section.first for section in extractive.Extractive().outline(reading, most=most)]


def test_nine_of_ten_topics_are_found_to_the_sentence_and_hardly_any_is_made_up() -> None:
    """Topics of 5 to 10 sentences, put together at random: docs/why/summaries.md has the figures of more."""
    chance = random.Random(7)
    exact = wanted = made_up = 0
    for _ in range(25):
        sentences: list[str] = []
        firsts: list[int] = []
        for name in chance.sample(list(TOPICS), chance.randint(2, 5)):
            firsts.append(len(sentences))
            sentences += [TOPICS[name][at] for at in sorted(chance.sample(range(10), chance.randint(5, 10)))]
        found = firsts_of(sentences)
        exact += len(set(found) & set(firsts[1:]))
        wanted += len(firsts) - 1
        made_up += sum(min(abs(at - first) for first in firsts) > 1 for at in found)

    assert exact / wanted >= 0.85
    assert made_up <= 2


@pytest.mark.parametrize(("parts", "language"), [(GERMAN, "de"), (JAPANESE, "ja")])
def test_other_languages_and_scripts_are_divided_too(parts: tuple[tuple[str, ...], ...], language: str) -> None:
    sentences = list(itertools.chain(*parts))
    firsts = [0, *itertools.accumulate(len(part) for part in parts[:-1])]

    assert firsts_of(sentences, (language,)) == firsts
    assert firsts_of(sentences, ()) == firsts  # and when nobody says which language it is


def test_there_are_never_more_parts_than_asked_for() -> None:
    sentences, _ = article(*TOPICS)

    assert [len(firsts_of(sentences, most=most)) for most in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize(
    "text", ["", "Hm.", "a b c", "12 34 56. 78 90.", "🙂🙂 🙂", "ab" * 5000, "ก" * 300, "\u202e\u0000x", "的" * 40]
)
def test_odd_texts_break_nothing(text: str) -> None:
    parts = _text.sentences(text) or ["x"]
    reading = Reading(passages=[Passage(text=part) for part in parts], remote=nobody)
    engine = extractive.Extractive()

    assert engine.outline(reading, most=5)[0].first == 0
    made = engine.summarise(reading)
    assert len(made.title) <= 80
    assert len(made.tags) <= 8


def test_a_long_text_is_divided_in_bounded_steps() -> None:
    sentences = [sentence for _ in range(40) for name in TOPICS for sentence in TOPICS[name]]

    firsts = firsts_of(sentences, most=20)

    assert len(sentences) == 2000
    assert firsts[0] == 0
    assert firsts == sorted(set(firsts))
    assert len(firsts) <= 20


def test_a_paragraph_decides_between_neighbouring_sentences() -> None:
    counted = [Counter({"a": 3, "c": 2})] * 6 + [Counter()] * 2 + [Counter({"b": 3, "d": 2})] * 6

    at_first = extractive.topics(counted, 9, [number == 7 for number in range(14)])
    at_second = extractive.topics(counted, 9, [number == 8 for number in range(14)])

    assert (at_first, at_second) == ([0, 7], [0, 8])


def test_a_document_is_measured_in_characters(tmp_path: Path) -> None:
    source = tmp_path / "text.md"
    paragraphs = [" ".join(TOPICS[name]) for name in ("bread", "violin")]
    source.write_text("# Two **talks**\n\n" + "\n\n".join(paragraphs), encoding="utf-8")

    said = outlined(source, "text/markdown", tmp_path).json

    assert said["unit"] == "characters"
    assert [part["start"] for part in said["timeline"]] == [0, pytest.approx(len(paragraphs[0]), abs=3)]
    assert said["timeline"][-1]["end"] == pytest.approx(sum(map(len, paragraphs)), abs=4)


def test_a_sound_is_transcribed_first_and_silence_has_no_parts(tmp_path: Path) -> None:
    source = tone(tmp_path / "tone.wav", seconds=1)
    sentences, firsts = article("solar", "chess")
    turns = [(p.start_s or 0.0, p.end_s or 0.0, p.text) for p in spoken(sentences)]

    silent = outlined(source, "audio/wav", tmp_path, Said()).json
    done = outlined(source, "audio/wav", tmp_path, Said(*turns))

    assert [part["start"] for part in done.json["timeline"]] == pytest.approx([at * 4 for at in firsts], abs=0.5)
    assert done.details["transcript"]["engine"] == "told"
    told = [fraction for _, fraction in done.reports if fraction is not None]
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert silent == {"kind": "outline", "timeline": []}


def test_long_turns_are_divided_into_sentences_with_times_of_their_own(tmp_path: Path) -> None:
    sentences, firsts = article("bread", "chess")
    whole = " ".join(sentences)

    found = outlined(tone(tmp_path / "tone.wav", seconds=1), "audio/wav", tmp_path, Said((10.0, 110.0, whole))).json

    at = 10 + 100 * len(" ".join(sentences[: firsts[1]])) / len(whole)
    assert [part["start"] for part in found["timeline"]] == [0, pytest.approx(at, abs=1.5)]


def test_words_without_full_stops_are_cut_at_pauses_and_after_some_words() -> None:
    words = ["stream", "of", "words"] * 40
    pieces = [
        _text._Piece(start_s=at * 0.5 + (2 if at >= 9 else 0), end_s=at * 0.5 + 0.4 + (2 if at >= 9 else 0), text=word)
        for at, word in enumerate(words)
    ]

    passages = _text._joined(pieces)

    assert passages[0].text.split() == words[:9]
    assert all(len(passage.text.split()) <= 32 for passage in passages)
    assert " ".join(passage.text for passage in passages).split() == words


def test_sentences_end_where_they_end() -> None:
    assert _text.sentences('Dr. Smith came at 3.5 p.m. today. "Why?" he asked! Nobody knew... J. Bach did.') == [
        *("Dr. Smith came at 3.5 p.m. today.", '"Why?" he asked!', "Nobody knew...", "J. Bach did."),
    ]
    assert _text.sentences("今日は雨です。明日は晴れ！本当？はい。") == [
        "今日は雨です。",
        "明日は晴れ！",
        "本当？",
        "はい。",
    ]
    assert _text.sentences("यह एक है। वह दो है।") == ["यह एक है।", "वह दो है।"]
    assert _text.sentences("هل هذا بيت؟ نعم هو بيت.") == ["هل هذا بيت؟", "نعم هو بيت."]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("The cat sat on the mat, and it was very happy with that.", ("en",)),
        ("Das ist ein Satz, den man nicht ohne Weiteres verstehen kann.", ("de",)),
        ("Ce n'est pas une bonne idée, mais il faut que nous le fassions avec eux.", ("fr",)),
        ("No sé si esto es para mí o para los otros, pero está muy bien.", ("es",)),
        ("Eu não sei se isso é para mim ou para você, mas está muito bem.", ("pt",)),
        ("Non è vero che gli altri sono già andati via con il treno della sera.", ("it",)),
        ("Het is niet waar dat de trein al naar de stad is gegaan, maar hij komt nog.", ("nl",)),
        ("Det är inte sant att tåget redan har gått till staden, men det kommer snart.", ("sv",)),
        ("Jeg har ikke set ham siden, men han er nu blevet en meget stor mand.", ("da",)),
        ("Jeg har ikke sett ham siden, men han er nå blitt en veldig stor mann.", ("no",)),
        ("Nie wiem, czy to jest dobry pomysł, ale już się nie da tego zmienić.", ("pl",)),
        ("Nem tudom, hogy ez jó ötlet volt-e, de már nem lehet változtatni rajta, és kész.", ("hu",)),
        ("Bu iyi bir fikir mi bilmiyorum ama artık çok geç ve daha fazla zaman yok.", ("tr",)),
        ("Это очень хорошая мысль, но я не знаю, что они об этом скажут.", ("ru",)),
        ("Я не знаю, що вони про це скажуть, але це дуже добре і так має бути.", ("uk",)),
        ("هذا هو البيت الذي كان في المدينة قبل أن يأتي من هناك.", ("ar",)),
        ("این کتاب را برای او خریدم و با آن به خانه رفتم.", ("fa",)),
        ("यह एक अच्छा दिन है और हम बाहर गए थे।", ("hi",)),
        ("日本語の文章です。", ("ja",)),
        ("我们今天去公园。", ("zh",)),
        ("안녕하세요 저는 학생입니다", ("ko",)),
        ("สวัสดีครับ วันนี้อากาศดี", ("th",)),
        ("bonjour", ()),
        ("Lorem ipsum dolor sit amet, consectetur adipiscing elit.", ()),
        ("1234 5678", ()),
        ("", ()),
    ],
)
def test_languages_are_told_apart_and_nothing_is_said_when_unsure(text: str, codes: tuple[str, ...]) -> None:
    assert _words.languages(text) == codes


def test_a_text_in_two_languages_names_both() -> None:
    english = " ".join(itertools.chain(*TOPICS.values()))
    german = " ".join(itertools.chain(*GERMAN)) * 2

    assert _words.languages(f"{english} {german}") == ("en", "de")


def test_what_has_no_words_is_refused_at_once() -> None:
    installed = Installed((), (), PlainTools(), extractive.PROVIDES)

    with pytest.raises(Unsupported, match="no words"):
        KIND.check(Options(), [Hint(mime="image/png")], installed)
    with pytest.raises(Unavailable):
        KIND.check(Options(), [Hint(mime="audio/wav")], installed)
    assert KIND.check(Options(), [Hint(mime="application/json")], installed) == Options()
    with pytest.raises(msgspec.ValidationError, match="depth"):
        msgspec.convert({"depth": 2}, Options)


def test_a_text_of_nothing_but_abbreviations_takes_no_time_that_grows_with_its_square() -> None:
    [whole] = _text.sentences("A. " * 200_000)

    assert len(whole) == 599_999
