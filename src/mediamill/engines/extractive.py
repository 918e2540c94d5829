"""Summaries and outlines out of a text's own words, offline, in any script.

Sentences are ranked by TextRank (Mihalcea and Tarau 2004) and picked so that none repeats another. Topics are divided
where the words change: the split of least description length (Utiyama and Isahara 2001), which finds the number of
topics by itself; beside TextTiling, which compares windows of fixed size, it places more cuts exactly
(docs/why/summaries.md). Titles and tags are the phrases that a part says often and the others do not.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill.core.language import (
    DESCRIPTION_LETTERS,
    TAG_LETTERS,
    TAGS,
    TITLE_LETTERS,
    Highlight,
    Highlighter,
    Linguist,
    Outliner,
    Reading,
    Section,
    Summariser,
    Summary,
)
from mediamill.engines import _words

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_UNITS = 1500
"""Longer texts are divided in steps of several sentences: time grows with the square of the steps."""
PRIOR = 1.2
"""How many times the paper's a part costs. Of 374 topics of 5 to 10 sentences put together at random, 341 are then
found to the sentence with 1 false cut; at 1.0 it is 349 with 3, and single topics are cut in two more often."""
_SENTENCES = 3
_DAMPING = 0.85
_ALIKE = 0.5
"""A sentence this like one already chosen says nothing new."""
_PHRASE_WORDS = 3


class Extractive(Summariser, Outliner, Highlighter, Linguist):
    """See the module."""

    name: ClassVar[str] = "extractive"
    rank: ClassVar[int] = 100
    licence: ClassVar[str] = "Apache-2.0"
    method = "extractive"

    def summarise(self, work: Reading) -> Summary:
        texts = [passage.text for passage in work.passages]
        stop = _words.stop_words(work.text, work.languages)
        counted = [Counter(_words.terms(text, stop)) for text in texts]
        ranks = _ranked(counted)
        tags = _phrases([texts], stop, TAGS, weights=[ranks])[0]
        return Summary(
            title=_title(tags, texts, ranks, TITLE_LETTERS),
            description=_description(texts, counted, ranks),
            tags=tuple(tag.lower() for tag in tags if len(tag) <= TAG_LETTERS),
        )

    def outline(self, work: Reading, *, most: int) -> Sequence[Section]:
        texts = [passage.text for passage in work.passages]
        stop = _words.stop_words(work.text, work.languages)
        counted = [Counter(_words.terms(text, stop)) for text in texts]
        firsts = topics(counted, most, [passage.after_break for passage in work.passages])
        parts = [texts[a:b] for a, b in zip(firsts, [*firsts[1:], len(texts)], strict=True)]
        named = _phrases(parts, stop, 2)
        titles = [
            _title(phrases, part, [1.0] * len(part), TITLE_LETTERS) for phrases, part in zip(named, parts, strict=True)
        ]
        return [Section(first=first, title=title) for first, title in zip(firsts, titles, strict=True)]

    def highlights(self, work: Reading, *, most: int) -> Sequence[Highlight]:
        texts = [passage.text for passage in work.passages]
        stop = _words.stop_words(work.text, work.languages)
        ranks = _ranked([Counter(_words.terms(text, stop)) for text in texts])
        found = _phrases([texts], stop, most, weights=[ranks])[0]
        weights = [sum(rank for text, rank in zip(texts, ranks, strict=True) if phrase in text) for phrase in found]
        heaviest = max(weights, default=0.0) or 1.0
        return [
            Highlight(text=phrase, rank=min(1.0, weight / heaviest))
            for phrase, weight in zip(found, weights, strict=True)
        ]

    def languages(self, text: str) -> tuple[str, ...]:
        return _words.languages(text)


def topics(counted: Sequence[Mapping[str, int]], most: int, breaks: Sequence[bool] = ()) -> list[int]:
    """Where topics begin, as numbers of sentences from 0; the first is 0.

    counted: the terms of each sentence. Terms said once tell nothing of where anything changes and are left out.
    """
    if not counted:
        return []
    step = math.ceil(len(counted) / MOST_UNITS)
    units = [_all(counted[at : at + step]) for at in range(0, len(counted), step)]
    marked = [bool(breaks) and any(breaks[at : at + step]) for at in range(0, len(counted), step)]
    total = _all(units)
    units = [Counter({term: times for term, times in unit.items() if total[term] > 1}) for unit in units]
    prior = PRIOR
    found = _split(units, marked, prior)
    while len(found) > most:
        prior *= max(1.1, math.sqrt(len(found) / most))
        found = _split(units, marked, prior)
    return [unit * step for unit in found]


_LEAST_UNITS = 2
"""A topic of one sentence is an aside."""
_BREAK_BONUS = 1.0
"""What a paragraph's beginning is worth, in nats: it decides between neighbours, and makes no topic by itself."""


def _split(units: Sequence[Mapping[str, int]], breaks: Sequence[bool], prior: float) -> list[int]:
    """The beginnings of the split with the least cost.

    A part of n terms in all, with counts f, costs n·ln(n + V) − Σ f·ln(f + 1), and ln N for being a part: how long it
    takes to say the part with words drawn by its own smoothed frequencies (section 2 of the paper).
    """
    import numpy as np

    count = len(units)
    vocabulary: dict[str, int] = {term: at for at, term in enumerate({term for unit in units for term in unit})}
    words = sum(sum(unit.values()) for unit in units)
    if words < 2 or count < 2 * _LEAST_UNITS:
        return [0]
    each = prior * math.log(words)
    table = np.arange(max(2, max(Counter(_all(units)).values()) + 2), dtype=np.float64)
    told = table * np.log(table + 1)
    held: dict[str, NDArray[Any]] = {}  # how often each term is said from every beginning up to here
    lengths = np.zeros(count, np.float64)
    saved = np.zeros(count, np.float64)
    best = np.full(count + 1, np.inf)
    best[0] = 0.0
    came = np.zeros(count + 1, np.int64)
    for end, unit in enumerate(units):
        upto = end + 1
        for term, times in unit.items():
            seen = held.setdefault(term, np.zeros(count, np.int32))
            now = seen[:upto]
            saved[:upto] += told[now + times] - told[now]
            now += times
        lengths[:upto] += sum(unit.values())
        costs = lengths[:upto] * np.log(lengths[:upto] + len(vocabulary)) - saved[:upto] + each
        reached = best[:upto] + costs
        if end + 1 >= _LEAST_UNITS:
            reached[end + 2 - _LEAST_UNITS :] = np.inf
        else:
            continue
        first = int(reached.argmin())
        best[upto], came[upto] = reached[first], first
        if upto < count and breaks[upto]:
            best[upto] -= _BREAK_BONUS
    firsts, at = [], count
    while at > 0:
        at = int(came[at])
        firsts.append(at)
    return firsts[::-1]


def _all(units: Sequence[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for unit in units:
        total.update(unit)
    return total


def _ranked(counted: Sequence[Mapping[str, int]]) -> list[float]:
    """How central each sentence is, by TextRank on the cosine of terms weighted by rarity; the mean is 1."""
    if len(counted) > 2 * MOST_UNITS:  # time and memory grow with the square
        return [rank for at in range(0, len(counted), MOST_UNITS) for rank in _ranked(counted[at : at + MOST_UNITS])]
    import numpy as np

    matrix = _weighted(counted)
    likeness = matrix @ matrix.T
    np.fill_diagonal(likeness, 0.0)
    sums = likeness.sum(axis=0)
    count = len(counted)
    flow = np.divide(likeness, sums, out=np.zeros_like(likeness), where=sums > 0)
    rank = np.full(count, 1 / count)
    for _ in range(60):
        # Sentences that are like no other give their rank to all.
        moved = (1 - _DAMPING) / count + _DAMPING * (flow @ rank + rank[sums <= 0].sum() / count)
        if np.abs(moved - rank).sum() < 1e-7:
            break
        rank = moved
    return [float(value) for value in rank * count]


def _weighted(counted: Sequence[Mapping[str, int]]) -> NDArray[Any]:
    """(sentences, terms) of unit rows; of more than 4,000 terms the commonest."""
    import numpy as np

    among = Counter(term for one in counted for term in one)
    kept = [term for term, _ in among.most_common(4000)]
    column = {term: at for at, term in enumerate(kept)}
    matrix = np.zeros((len(counted), max(1, len(kept))), np.float32)
    for row, one in enumerate(counted):
        for term, times in one.items():
            if (at := column.get(term)) is not None:
                matrix[row, at] = (1 + math.log(times)) * math.log(1 + len(counted) / among[term])
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    made: NDArray[Any] = np.divide(matrix, norms, out=matrix, where=norms > 0)
    return made


def _description(texts: Sequence[str], counted: Sequence[Mapping[str, int]], ranks: Sequence[float]) -> str:
    """Up to three central sentences that say different things, in their own order."""

    def worth(at: int) -> float:
        terms = sum(counted[at].values())
        shape = min(1.0, terms / 5) * (1.0 if len(texts[at]) <= 260 else 0.6)
        return ranks[at] * shape * (1.15 if at == 0 else 1.0)

    chosen: list[int] = []
    letters = 0
    for at in sorted(range(len(texts)), key=worth, reverse=True):
        if letters + len(texts[at]) + 1 > DESCRIPTION_LETTERS and chosen:
            continue
        if any(_likeness(counted[at], counted[other]) > _ALIKE for other in chosen):
            continue
        chosen.append(at)
        letters += len(texts[at]) + 1
        if len(chosen) == _SENTENCES:
            break
    between = "" if _words.unspaced(texts[0]) else " "
    return shortened(between.join(texts[at] for at in sorted(chosen)), DESCRIPTION_LETTERS)


def _likeness(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    shared = sum(one[term] * other.get(term, 0) for term in one)
    norm = math.sqrt(sum(v * v for v in one.values()) * sum(v * v for v in other.values()))
    return shared / norm if norm else 0.0


@dataclass(slots=True)
class _Phrase:
    """A phrase of one part: how it is mostly written, and how much it weighs there."""

    spelt: Counter[str]
    times: float = 0.0


def _phrases(
    parts: Sequence[Sequence[str]],
    stop: frozenset[str],
    most: int,
    *,
    weights: Sequence[Sequence[float]] | None = None,
) -> list[list[str]]:
    """For each part its best phrases, as they are mostly written, none within another."""
    gathered: list[dict[tuple[str, ...], _Phrase]] = []
    for number, part in enumerate(parts):
        found: dict[tuple[str, ...], _Phrase] = defaultdict(lambda: _Phrase(Counter()))
        for row, text in enumerate(part):
            weight = weights[number][row] if weights else 1.0
            for key, spelt in _candidates(text, stop):
                found[key].spelt[spelt] += 1
                found[key].times += weight
        gathered.append(found)
    within = Counter(key for found in gathered for key in found)
    return [_best(found, within, len(parts), most) for found in gathered]


def _candidates(text: str, stop: frozenset[str]) -> list[tuple[tuple[str, ...], str]]:
    """Runs of one to three words that mean something, by their stems; two to four signs where there are no spaces."""
    found: list[tuple[tuple[str, ...], str]] = []
    run: list[str] = []
    last_end = 0
    for match in _words._WORD.finditer(text):
        word = match.group()
        if _words.unspaced(word):
            found += _signs(word)
            continue
        if run and text[last_end : match.start()].strip(" -\u00a0\u2010\u2011"):
            found += _runs(run)
            run = []
        last_end = match.end()
        if word.lower().replace("’", "'") in stop or len(word) < 2:
            found += _runs(run)
            run = []
        else:
            run.append(word)
    return found + _runs(run)


def _runs(run: Sequence[str]) -> list[tuple[tuple[str, ...], str]]:
    made = []
    for size in range(1, _PHRASE_WORDS + 1):
        for at in range(len(run) - size + 1):
            piece = run[at : at + size]
            if size == 1 and len(piece[0]) < 3:
                continue
            made.append((tuple(_words.stem(word.lower()) for word in piece), " ".join(piece)))
    return made


_PARTICLES = frozenset("的了是在和有我你他她它们们这那个也就都不与及对从把被为以而并很之其所或着过吗呢吧啊最")
_KANA = re.compile(r"[\u3040-\u309f]+")


def _signs(word: str) -> list[tuple[tuple[str, ...], str]]:
    made: list[tuple[tuple[str, ...], str]] = []
    if _words._HAN.match(word):
        for stretch in _content(word):
            for size in (2, 3, 4):
                made += [((cut,), cut) for at in range(len(stretch) - size + 1) if (cut := stretch[at : at + size])]
    elif 4 <= len(word) <= 16:  # Thai and its kin: what stands between two spaces, when it is short enough
        made.append(((word,), word))
    return made


def _content(word: str) -> list[str]:
    """The stretches between particles and Japanese endings, which stand in no noun."""
    plain = "".join(" " if sign in _PARTICLES else sign for sign in _KANA.sub(" ", word))
    return plain.split()


def _best(
    found: Mapping[tuple[str, ...], _Phrase], within: Mapping[tuple[str, ...], int], parts: int, most: int
) -> list[str]:
    def weight(key: tuple[str, ...]) -> float:
        phrase = found[key]
        times = phrase.spelt.total()
        longer = len(key) - 1 if len(key) > 1 else (len(key[0]) - 2) / 2 if _words._HAN.match(key[0]) else 0
        if longer and times < 2:
            longer = -0.3  # said once, a run of words is chance
        rarity = math.log(1 + parts / within[key]) / math.log(2)
        capital = 1.15 if sum(n for spelt, n in phrase.spelt.items() if spelt[:1].isupper()) > 0.6 * times else 1.0
        return phrase.times * rarity * (1 + 0.45 * longer) * capital

    chosen: list[tuple[str, ...]] = []
    for key in sorted(found, key=lambda key: (-weight(key), key)):
        if any(_overlap(key, other) for other in chosen):
            continue
        chosen.append(_whole(key, found))
        if len(chosen) == most:
            break
    return [found[key].spelt.most_common(1)[0][0] for key in chosen]


def _whole(key: tuple[str, ...], found: Mapping[tuple[str, ...], _Phrase]) -> tuple[str, ...]:
    """The longer phrase a word mostly stands in: "solar panel" rather than "panel"."""
    if len(key) > 1:
        return key
    times = found[key].spelt.total()
    longer = [other for other in found if len(other) == 2 and key[0] in other and other[0] != other[1]]
    best = max(longer, key=lambda other: (found[other].spelt.total(), other), default=key)
    return best if found[best].spelt.total() >= max(2, 0.4 * times) else key


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if len(one) == len(other) == 1 and _words._HAN.match(one[0]):
        a, b = one[0], other[0]
        return any(a[at : at + 2] in b for at in range(len(a) - 1))
    return bool(set(one) & set(other))


def _title(phrases: Sequence[str], texts: Sequence[str], ranks: Sequence[float], letters: int) -> str:
    """The two best phrases; the start of the most central sentence where there is no phrase."""
    if not phrases:
        central = max(range(len(texts)), key=lambda at: ranks[at]) if texts else None
        return shortened(texts[central], letters // 2) if central is not None else ""
    first, *rest = phrases
    made = first if not rest else f"{first}, {rest[0]}" if not _words.unspaced(first) else f"{first}、{rest[0]}"
    if len(made) > letters:
        made = first
    made = shortened(made, letters)
    return made[:1].upper() + made[1:]


def shortened(text: str, letters: int) -> str:
    """The text, cut between words and marked with … when it is longer than that."""
    text = " ".join(text.split())
    if len(text) <= letters:
        return text
    cut = text[: letters - 1]
    at = cut.rfind(" ")
    return (cut[:at] if at > letters // 2 else cut).rstrip(" ,;:-") + "…"


PROVIDES = (Extractive(),)
