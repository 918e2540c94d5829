"""Texts about known things in a known order, as people write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mediamill.core.language import Passage

TOPICS: Mapping[str, Sequence[str]] = {
    "bread": (
        "Good bread begins with a lively sourdough starter that has been fed the night before.",
        "Mix the flour and the water first, and let the dough rest for half an hour.",
        "Then add the salt and the starter and fold the dough until it feels smooth.",
        "A wet dough is hard to knead, so many bakers stretch and fold it instead.",
        "During the first rise the yeast in the starter fills the dough with gas.",
        "Shape the loaf gently, because rough hands press the gas out of the dough.",
        "Bake the loaf in a very hot oven with steam, so that the crust can open.",
        "A dark crust tastes of caramel, and the crumb inside stays moist for days.",
        "If the loaf is flat, the starter was weak or the dough rose too long.",
        "Let the bread cool for an hour before the knife touches the crust.",
    ),
    "solar": (
        "A solar panel on the roof turns sunlight into direct current.",
        "The inverter makes alternating current of it, which the grid can take.",
        "Panels that face south at an angle of thirty degrees harvest the most electricity.",
        "Shade on one solar panel can lower the output of the whole string.",
        "A battery in the cellar keeps electricity for the evening, when the panels are dark.",
        "How large the battery should be depends on how much electricity the house needs at night.",
        "The grid operator pays a tariff for every kilowatt hour that flows back.",
        "Most solar panels still deliver eighty percent of their output after twenty years.",
        "The inverter is the part that fails first, mostly after ten to fifteen summers.",
        "Rain washes dust from the panels, so that cleaning them is seldom worth the ladder.",
    ),
    "chess": (
        "In chess the opening decides which pieces come into play and where the king is safe.",
        "A pawn in the centre takes squares away from the knights of the opponent.",
        "Castle before the position opens, or the king will be caught in the middle.",
        "Knights are strong on outposts where no pawn can chase them away.",
        "A bishop wants open diagonals, and two bishops are often better than two knights.",
        "Rooks belong on open files, where they look deep into the position of the opponent.",
        "In the endgame the king becomes a fighting piece and marches to the centre.",
        "A passed pawn must be pushed, as an old chess rule has it, for it ties down a rook.",
        "Many games are lost because a player grabs a pawn and forgets the king.",
        "Study endgames first, because every opening leads to a position you must be able to win.",
    ),
    "volcano": (
        "A volcano erupts when gas in the rising magma can no longer be held by the rock above.",
        "Thin basaltic lava flows for miles, while thick magma plugs the vent until it explodes.",
        "Ash from such an eruption can rise into the stratosphere and cool the whole planet.",
        "Geologists watch a volcano with seismometers, because small earthquakes go before an eruption.",
        "The ground swells as the magma chamber fills, which satellites can measure.",
        "Sulphur in the gas of the vent tells how near the magma has come.",
        "Pyroclastic flows of hot ash race down the slope faster than any car.",
        "After an eruption, rain on loose ash makes mudflows that bury whole valleys.",
        "The soil around an old volcano is rich, and so farmers return to its slopes.",
        "Some volcanoes sleep for centuries and wake with little warning.",
    ),
    "violin": (
        "The body of a violin is carved of spruce and maple and closed with hide glue.",
        "A small post of spruce inside carries the sound from the bridge to the back.",
        "The bow is strung with horsehair, which grips the string with the help of rosin.",
        "Players tune the strings in fifths, from the low one to the high one.",
        "Vibrato comes from a rocking finger and makes the tone of the violin warm.",
        "Old Italian violins fetch millions, although listeners cannot tell their tone from that of new ones.",
        "A luthier adjusts the bridge by hair's breadths until the strings speak evenly.",
        "Dry winter air shrinks the spruce, and cracks open in the body.",
        "Beginners hold the bow too tightly, so that the tone scratches.",
        "Practise slow bow strokes on open strings every morning before any melody.",
    ),
}

GERMAN: Sequence[Sequence[str]] = (
    (
        "Die Bienen fliegen im Frühling schon bei zwölf Grad aus dem Stock.",
        "Eine Königin legt bis zu zweitausend Eier am Tag in die Waben.",
        "Die Arbeiterinnen füttern die Larven mit Pollen und Honig aus den Waben.",
        "Der Imker sieht im Stock nach, ob die Königin noch lebt und die Bienen genug Honig haben.",
        "Im Herbst werden die Drohnen von den Bienen aus dem Stock vertrieben.",
        "Ohne Bienen gäbe es viel weniger Obst, und der Imker hätte keinen Honig.",
    ),
    (
        "Die Lokomotive zieht den Zug mit einer Spannung von fünfzehn Kilovolt aus der Oberleitung.",
        "Auf den Schienen rollt ein Zug mit sehr wenig Reibung.",
        "Das Stellwerk gibt die Weichen frei, bevor der Zug in den Bahnhof fährt.",
        "Ein Signal an der Strecke sagt der Lokomotive, wie schnell sie fahren darf.",
        "Wenn die Weichen im Winter vereisen, steht der Zug vor dem Bahnhof.",
        "Die Strecke wird nachts geprüft, und die Schienen werden geschliffen.",
    ),
    (
        "Ein guter Käse reift viele Monate im kühlen Keller.",
        "Die Milch wird mit Lab dickgelegt und der Bruch in Formen gefüllt.",
        "Im Keller wird der Käse gewendet und seine Rinde mit Salz gewaschen.",
        "Je länger der Käse reift, desto härter wird er und desto kräftiger schmeckt die Rinde.",
        "Rohe Milch gibt dem Käse mehr Geschmack als erhitzte Milch.",
        "Der Senn rührt den Bruch im Kessel, bis er trocken genug für den Käse ist.",
    ),
)

JAPANESE: Sequence[Sequence[str]] = (
    (
        "お茶の葉は春に摘まれます。",
        "摘んだ茶葉はすぐに蒸して発酵を止めます。",
        "蒸した茶葉を揉みながら乾燥させると緑茶になります。",
        "緑茶は低い温度のお湯で淹れると甘くなります。",
        "茶葉を発酵させると紅茶になります。",
        "緑茶にはカテキンが多く含まれます。",
    ),
    (
        "新幹線は東京と大阪を結びます。",
        "新幹線の最高速度は時速三百キロです。",
        "線路は在来線と別に作られました。",
        "運転士は速度を車内の信号で確認します。",
        "地震が起きると新幹線は自動で止まります。",
        "線路の点検は夜に行われます。",
    ),
)


def article(*names: str) -> tuple[list[str], list[int]]:
    """The sentences of some topics one after another, and the numbers of those at which a topic begins."""
    sentences: list[str] = []
    firsts = []
    for name in names:
        firsts.append(len(sentences))
        sentences += TOPICS[name]
    return sentences, firsts


def spoken(sentences: Sequence[str], each_s: float = 4.0, start_s: float = 0.0) -> list[Passage]:
    """The sentences, each as long, one after another."""
    return [
        Passage(text=text, start_s=start_s + at * each_s, end_s=start_s + (at + 1) * each_s - 0.4)
        for at, text in enumerate(sentences)
    ]


def transcript(sentences: Sequence[str], each_s: float = 4.0, languages: Sequence[str] = ("en",)) -> dict[str, object]:
    """The document that the kind `speech` writes, with those sentences as turns."""
    timeline = [
        {"start": passage.start_s, "end": passage.end_s, "speaker": 0, "text": passage.text}
        for passage in spoken(sentences, each_s)
    ]
    return {
        "kind": "speech",
        "text": list(sentences),
        "languages": list(languages),
        "speakers": 1,
        "timeline": timeline,
    }
