"""Words of any script: telling them apart, the ones that carry no meaning, and the language they belong to.

Languages are told by script and by their commonest words, which needs a sentence or two; it is silent when unsure.
The lists are the function words of each language in the order in which frequency lists have them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
_MARKS += "\u0e30-\u0e4e\u0eb0-\u0ece\u0f18-\u0fbc\u102b-\u103e\u17b4-\u17d3\u200c\u200d"
"""Vowel signs and the like, which Python's \\w leaves out though they stand inside words."""
_WORD = re.compile(rf"(?:(?!\d)[\w{_MARKS}])[\w{_MARKS}]*(?:['’][\w{_MARKS}]+)*")
_UNSPACED = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+|[\u0e00-\u0e7f]+|[\u0e80-\u0eff]+"
    r"|[\u1000-\u109f]+|[\u1780-\u17ff]+"
)
"""Scripts that put no spaces between words."""
_HIRAGANA = re.compile(r"[\u3040-\u309f]+")
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")

STOP: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to a in is that it for was on are as with his they at be this from i have or by one had not"
        " but what all were when we there can an your which their said if do will each about how up out them then she"
        " many some so these would other into has her two like him see could no than been its who now my did get come"
        " may over after also our just where most know very more me you he",
        "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus"
        " er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor"
        " zur bis mehr durch man sein wurde ich wir wenn kann was ihr uns mir doch schon hier",
        "fr": "de la le et les des en un une du que est dans qui pour pas sur au par il plus ne se sont ce avec son"
        " mais comme ou si leur nous vous cette ses elle aux aussi être fait tout ont sa ces je on était même où"
        " deux peut très c'est n'est d'un d'une qu'il l'on",
        "es": "de la que el en y a los se del las un por con no una su para es al lo como más pero sus le ya o este sí"
        " porque esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos durante todos uno les"
        " ni contra otros fue ese eso está son yo usted ellos",
        "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à"
        " seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo"
        " aos ter seus quem nas me esse eles você são",
        "it": "di e il la che in un a per è una del non sono da con le si i al come più dei nel alla della lo ha su"
        " anche ma gli ci o questo delle se era mi quando dal dalla essere molto ho tra suo sua nella loro perché cosa"
        " cui solo dopo ancora già fatto così lei lui",
        "nl": "de van het een en in is dat op te zijn met voor niet aan er die om was als dan maar ook bij door over"
        " naar uit hij tot wordt zich ze nog worden kan deze heeft wel dit geen of ik je we hebben had moet zij hun"
        " al meer wat werd zo hier daar",
        "sv": "och i att det som en på är av för med den till inte har om ett han men var jag så de från vi kan nu hon"
        " när man eller där sin ut också efter hade skulle över alla detta bara något mycket mellan då vara blir"
        " mig ska blev många sig",
        "da": "og i at det er en til af på der for den med de som ikke har et han jeg var men fra sig vi om så kan over"
        " blev ved efter også hun nu være mange mod eller hvor når skal havde kun meget noget mellem dem blevet deres"
        " ud bliver hvad",
        "no": "og i det er på en som til at av for med har de ikke den om et fra var han men så jeg kan vi seg etter"
        " hun også ble over skal være mange mot eller hvor når hadde bare mye noe mellom dem blitt ut blir hva nå"
        " sier opp må hvis",
        "fi": "ja on ei että se oli hän joka mutta ovat myös kun niin kuin tai ne mukaan olla jo ole sitä ollut vain"
        " mitä sekä vielä sen tämä nyt kanssa joita siitä jos hänen minä ennen olen me he ovat joka tässä mukaan"
        " hyvin kaikki voi jotka eivät",
        "pl": "w i na z się nie do to że o jest jak za po a od co ale dla są był czy przez tak ma już tylko jego może"
        " być przy ze które który było oraz także tym ich jako można jej bardzo lub jeszcze gdy mnie było będzie też",
        "cs": "a v se na je že s z do o i k to za jako ve by jsou si pro ale není byl po bylo podle jeho které který už"
        " nebo být může jen jak také od při má tak jsem až když před více byla aby ještě co ho",
        "ro": "de și în a la cu pe că o nu un din se mai este pentru care ce fi sunt au am prin lui sau ar ca dar după"
        " fost foarte acest această fără cum unei unui dacă să al ale cele între doar când își lor tot",
        "hu": "a az és hogy nem is egy ez de volt meg csak van már el ki még mint lehet vagy ha azt kell mert amely"
        " aki után nagyon több minden lesz pedig ezt azonban így úgy majd sem akkor szerint között",
        "tr": "ve bir bu da de için ile o çok daha ne gibi kadar olarak en var sonra ama olan her ya değil ben mi ki"
        " diye şey bunu göre oldu olduğu sonra kendi biz yok onun iki önce bana nasıl ise veya",
        "id": "yang dan di dengan untuk tidak dari ini itu dalam akan pada juga ke karena ada bisa saya oleh mereka"
        " kita adalah sudah atau seperti dia kami lebih telah tersebut banyak dapat menjadi lagi harus hanya"
        " tetapi orang",
        "vi": "và của là có được cho trong không một các những với người này đã khi đến từ ra về như để ở cũng tôi"
        " nhiều vào sẽ lại phải anh làm hơn rất đó thì nhưng hay còn theo nếu",
        "ru": "и в не на я что он с а как это по но к из у за то все так от о же вы бы мы для его она было был только"
        " или её ещё когда они если уже до может при этого нет быть есть этот даже чтобы который очень также",
        "uk": "і в не на що я з він до а як це у та за але від по його для вона було був про так або які який ми вони"
        " ще коли також може якщо вже є бути при цього щоб дуже тільки ти її нас чи",
        "bg": "на и да се е в за от не с че по са това като но ще си до при са или което който беше много има само"
        " след още тази тези които може така бъде той тя ние те към над ли ако",
        "ar": "في من على أن إلى هذا التي الذي لا ما هو عن مع كان هذه أو بين بعد كل قد ذلك هي كما لم عند ثم حيث أي إن"
        " لكن نحن وقد غير منذ حتى فيها عليه كانت به له لها",
        "fa": "و در به از که این را با است برای آن یک خود تا بر هم نیز شده شد می بود ما اما او یا باید هر دو کرد"
        " پس آنها کند های اگر همه چه وی گفت بین ولی نه",
        "ur": "کے میں کی ہے اور سے کا کو اس نے پر کہ ہیں بھی یہ تھا ایک نہیں کر جو ہو وہ تو ان کیا تھے لیے گیا ہی"
        " پاکستان رہے کچھ بعد ہم جس تک اپنے",
        "he": "של את על לא זה הוא גם כי עם אני היא יש או מה כל אבל היה אל אם יותר כך רק בין אחרי זאת הם אין"
        " כמו לפני היו שלו עוד אותו מאוד",
        "el": "και το να του η της με που την από για είναι στο οι τα δεν ο τον των θα σε ότι μια στην τη τους ένα"
        " αυτό αλλά έχει ως μας όπως πολύ ήταν κατά μετά πιο",
        "hi": "के में है की और से का को ने पर यह कि हैं भी एक नहीं कर हो तो इस वह था जो ही लिए या बाद साथ थे अपने"
        " थी हम गया कुछ रहे सकते जब",
        "mr": "आहे आणि या व च्या ते हे तर मध्ये होते आहेत नाही करून एक होता मी तो ही काही त्या असे झाले",
        "bn": "এবং ও এই থেকে করে হয় একটি জন্য তার যে না করা সঙ্গে আমি হবে কিন্তু তিনি এক ছিল হয়েছে",
        "ta": "ஒரு என்று இந்த மற்றும் என்ன அவர் அந்த இது இருந்து வேண்டும் உள்ள",
        "ko": "그 이 수 있다 것은 있는 하는 그리고 나는 때 위해 대한 것이 등 또한 하지만 것을 우리",
    }.items()
}
"""Function words by ISO 639-1 code."""

EMPTY: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "actually again against almost along already although always am among another any anything are around"
        " away back basically because before being below best better between both bit called came cannot can't"
        " certain comes coming couldn't day days did didn't different does doesn't doing don't done down during"
        " either else end enough especially even ever every everything example fact far few find first five four"
        " further gave gets getting give given gives goes going gone gonna good got great had hadn't half hand"
        " happen hard hasn't haven't having he's hello help here here's hers herself himself however i'd i'll i'm"
        " i've idea important inside instead isn't it's itself keep kept kind knew knows large last later least"
        " left less let let's likely little long look looking lot lots made main make makes making matter maybe"
        " mean means might mine more much must myself name near need needs never new next nice nothing number off"
        " often oh ok okay old once only onto open own part people perhaps piece place please point pretty probably put"
        " quite rather real really reason right same saw say saying says second seem seems seen several shall"
        " she's should shouldn't show since six small someone something sometimes soon sort start started still"
        " such sure take taken takes taking talk talking tell ten thank thanks that's themselves there's therefore"
        " they'd they'll they're they've thing things think third those though thought three through thus time"
        " times today together told too took toward towards tried true try trying turn turned under until unless"
        " upon us use used uses using usually various want wanted wants wasn't way ways we'd we'll we're we've"
        " welcome well went weren't what's whatever whether while whole whose why within without won't word work"
        " works would wouldn't yeah year years yes yesterday yet you'd you'll you're you've yours yourself um uh",
    }.items()
}
"""Words that say little though they are no function words: never in a title."""

_LEAST_HITS = 3
_LEAST_SHARE = 0.14
_MARGIN = 1.25
_PART_WORDS = 250
_LEAST_PART = 0.2
"""The share of a text a language must have to be named beside another."""

_SCRIPTS = (
    ("hangul", re.compile(r"[\uac00-\ud7af\u1100-\u11ff]"), ("ko",)),
    ("kana", re.compile(r"[\u3040-\u30ff]"), ("ja",)),
    ("han", re.compile(r"[\u3400-\u9fff]"), ("zh",)),
    ("thai", re.compile(r"[\u0e01-\u0e5b]"), ("th",)),
    ("lao", re.compile(r"[\u0e81-\u0edf]"), ("lo",)),
    ("khmer", re.compile(r"[\u1780-\u17dd]"), ("km",)),
    ("myanmar", re.compile(r"[\u1000-\u109f]"), ("my",)),
    ("georgian", re.compile(r"[\u10d0-\u10ff]"), ("ka",)),
    ("armenian", re.compile(r"[\u0531-\u0587]"), ("hy",)),
    ("greek", re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"), ("el",)),
    ("hebrew", re.compile(r"[\u05d0-\u05ea]"), ("he",)),
    ("bengali", re.compile(r"[\u0985-\u09b9]"), ("bn",)),
    ("tamil", re.compile(r"[\u0b85-\u0bb9]"), ("ta",)),
    ("telugu", re.compile(r"[\u0c05-\u0c39]"), ("te",)),
    ("devanagari", re.compile(r"[\u0904-\u0939]"), ("hi", "mr")),
    ("arabic", re.compile(r"[\u0620-\u064a\u066e-\u06d3]"), ("ar", "fa", "ur")),
    ("cyrillic", re.compile(r"[\u0400-\u04ff]"), ("ru", "uk", "bg")),
    ("latin", re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]"), ()),
)
"""A script and the languages it may be here. One with a single language settles the question; some of the Hebrew,
Arabic and Devanagari ones stand for others as well, so their common words must be there too."""
_SURE = frozenset({"ko", "ja", "zh", "th", "lo", "km", "my", "ka", "hy", "el", "ta", "te"})
_LATIN = tuple(code for code in STOP if re.match("[a-z]", min(STOP[code])))


def words(text: str) -> list[str]:
    """The words as they stand there; scripts without spaces give their unbroken stretches."""
    return _WORD.findall(text)


def terms(text: str, stop: frozenset[str]) -> Iterator[str]:
    """What to count: stems of words that mean something; pairs of signs where a script has no spaces."""
    for word in words(text):
        for stretch in _pieces(word):
            if _UNSPACED.fullmatch(stretch):
                size = 2 if _HAN.match(stretch) else 3
                pieces = (stretch[at : at + size] for at in range(max(1, len(stretch) - size + 1)))
                # Hiragana alone are endings and particles.
                yield from (piece for piece in pieces if not _HIRAGANA.fullmatch(piece))
            elif (small := stretch.lower()) not in stop and len(stretch) > 1:
                yield stem(small)


def _pieces(word: str) -> Iterator[str]:
    at = 0
    for found in _UNSPACED.finditer(word):
        if found.start() > at:
            yield word[at : found.start()]
        yield found.group()
        at = found.end()
    if at < len(word):
        yield word[at:]


def unspaced(text: str) -> bool:
    """Whether most of it is written without spaces between words."""
    inside = sum(len(found) for found in _UNSPACED.findall(text))
    return inside * 2 > sum(map(len, words(text)))


@lru_cache(1 << 16)
def stem(word: str) -> str:
    """A word in small letters without its ending, roughly, in any language that inflects at the end."""
    word = word.replace("’", "'").split("'")[0] or word
    if len(word) > 4 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word if len(word) <= 5 else word[: max(5, len(word) - 3)]


def stop_words(text: str, languages: Sequence[str]) -> frozenset[str]:
    """The words to leave out: those of the languages, or of all that it may be when they are not known."""
    known = [code for code in languages if code in STOP]
    if known:
        return frozenset().union(*(STOP[code] | EMPTY.get(code, frozenset()) for code in known))
    found = Counter(word.lower() for word in words(text))
    # Unknown: the words that are both short and everywhere are function words in every language.
    common = max(5, sum(found.values()) // 60)
    return frozenset(word for word, count in found.items() if count >= common and len(word) <= 5)


def languages(text: str) -> tuple[str, ...]:
    """See core.language.Linguist."""
    every = words(text)
    parts = [every[at : at + _PART_WORDS] for at in range(0, max(1, len(every)), _PART_WORDS)]
    if len(parts) > 1 and len(parts[-1]) < _PART_WORDS // 4:
        rest = parts.pop()
        parts[-1] = parts[-1] + rest
    found: Counter[str] = Counter()
    for part in parts:
        code = _language(part)
        if code is not None:
            found[code] += len(part)
    total = sum(found.values())
    return tuple(code for code, count in found.most_common() if count >= _LEAST_PART * total)


def _language(part: Sequence[str]) -> str | None:
    text = " ".join(part)
    counts = {name: len(signs.findall(text)) for name, signs, _ in _SCRIPTS}
    if counts["kana"] * 10 >= counts["han"] and counts["kana"]:
        counts["kana"], counts["han"] = counts["kana"] + counts["han"], 0
    name = max(counts, key=lambda name: counts[name])
    if counts[name] * 2 < sum(counts.values()) or counts[name] < 4:
        return None
    codes = next(codes for script, _, codes in _SCRIPTS if script == name) or _LATIN
    if len(codes) == 1 and codes[0] in _SURE:
        return codes[0]
    small = [word.lower().replace("’", "'") for word in part]
    hits = sorted(((sum(word in STOP[code] for word in small), code) for code in codes), reverse=True)
    most, code = hits[0]
    next_most = hits[1][0] if len(hits) > 1 else 0
    enough = most >= _LEAST_HITS and most >= _LEAST_SHARE * len(small)
    return code if enough and most >= _MARGIN * next_most else None
