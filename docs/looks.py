"""Writes docs/reference/looks.md and its pictures: `./mill docs`, or `PYTHONPATH=src python docs/looks.py`.

A picture is written anew only when it looks different, so that another version of an encoder changes no file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support import looks as scenes  # noqa: E402 - after the path to it

from mediamill.core import looks as names  # noqa: E402
from mediamill.engines import _compose_preset as _preset  # noqa: E402
from mediamill.engines import _look  # noqa: E402
from mediamill.engines._look import Moment  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "looks.md"
PICTURES = ROOT / "docs" / "reference" / "looks"

EFFECTS: Mapping[str, str] = {
    "vintage": "a yellowed print: faded blacks, warm lights, dark corners",
    "polaroid": "an instant print in its white frame",
    "portra": "portrait negative film: warm, soft, muted greens and blues",
    "super8": "home film at 18 pictures a second: jumps, flickers, grain, dust, scratches, a round gate",
    "filmic": "cinema print: teal shadows, warm lights that bleed a little red",
    "add_grain": "film grain alone",
    "film_burn": "white-hot light with a red seam flares in from the sides",
    "light_leaks": "soft veils of orange and red wander along the edges",
    "sepia": "brown as old prints",
    "duotone": "two inks: violet shadows, rose and cream lights",
    "cross_process": "hard, with yellow-green lights and blue shadows",
    "bleach_bypass": "high contrast, little colour, a silver look",
    "posterize": "five levels of each colour",
    "invert": "the negative",
    "night_vision": "an image intensifier: green, noisy, in a round tube",
    "thermal": "a heat camera: bright counts as hot",
    "camera_lens_blur": "out of focus, lights become discs",
    "camera_lens_blur_bg": "the same behind people; without the model for them, or with nobody there, round the middle",
    "box_blur": "the mean of a square",
    "glow": "lights shine beyond their edges",
    "lens_flare": "a low sun with its streak and its reflections",
    "strobe_light": "a flash gun in a dark room, three times a second and no more",
    "snow": "flakes of three depths fall and sway",
    "echo": "earlier pictures, 0.1 s apart, still shine, larger and fainter",
    "ghosting": "two earlier pictures hang over, and a faint double stands beside",
    "prism": "repeated in three colours round a clear middle",
    "mosaic": "squares of one colour each",
    "mosaic_blur": "squares that run into each other",
    "mosaic_posterize": "squares in few colours",
    "cc_halftone": "printed in cyan, magenta and yellow dots",
    "cc_halftone_red": "printed in red dots",
    "cc_halftone_green": "printed in green dots",
    "cc_halftone_blue": "printed in blue dots",
    "rgb_split": "red to the left, blue to the right",
    "chromatic_aberration": "colours part towards the edges, as through a poor lens",
    "displacement_map": "pushed about by slow waves",
    "optics_compensation": "the barrel distortion of a wide lens",
    "viewfinder": "frame corners, thirds, the red lamp, time code, battery",
    "vhs": "a worn tape: smeared colour, rows that jitter, noise, a torn foot",
    "vhs_overlay": "a recorder's display and tracking noise over a clean picture",
    "crt": "a picture tube: bulging, with lines and coloured stripes",
    "television": "an old set with a poor aerial: snow, a double, a rolling bar",
    "glitch": "bands torn sideways, colours apart, blocks out of place",
    "compression_glitch": "a stream with lost packets: coarse, misplaced blocks",
    "scanlines": "every other line dark",
    "chroma_key": "a range of hue, saturation and lightness becomes transparent; green unless told otherwise",
}
TRANSITIONS: Mapping[str, str] = {
    "cross_dissolve": "one fades into the other",
    "dip_to_black": "through black",
    "dip_to_white": "through white",
    "wipe_left": "an edge moves to the left",
    "wipe_right": "an edge moves to the right",
    "wipe_up": "an edge moves up",
    "wipe_down": "an edge moves down",
    "diagonal_wipe": "an edge moves from the upper left to the lower right",
    "barn_doors_horizontal": "opens from the middle to the sides",
    "barn_doors_vertical": "opens from the middle up and down",
    "iris": "the six blades of an aperture open",
    "page_turn": "the page is rolled up from the lower right and turned",
    "cross_zoom": "a rush into one that comes to rest in the other",
    "gradient_wipe": "dark parts go first, light ones last",
    "band_wipe": "bands come in from the left and the right in turn",
    "box_wipe": "a rectangle grows from the middle",
    "swirl": "both are twisted while one fades into the other",
    "glitch_memories": "blocks of both jump about, colours apart",
    "window_slice": "upright slats turn, the left ones first",
    "cube": "two sides of a cube; the canvas shows round it",
    "doorway": "two wings open, the other comes nearer behind them",
    "pinwheel": "eight wings turn",
    "water_drop": "rings run outwards, the other shows behind them",
    "crosshatch": "drawn over in strokes that cross",
    "dreamy": "both sway in a soft glow",
    "angular": "a clock's hand runs round",
    "burn": "fire eats a hole with a charred, glowing rim",
    "heart": "a heart grows",
    "circle_open": "a soft circle grows",
    "color_phase": "red turns first, then green, then blue",
    "squares_wire": "squares open and leave a mesh of wire",
}
MOTIONS: Mapping[str, str] = {
    "fade": "opacity alone",
    "slide_up": "comes from below the canvas",
    "slide_down": "comes from above the canvas",
    "slide_left": "comes from the right of the canvas",
    "slide_right": "comes from the left of the canvas",
    "rotate_cw": "half a turn clockwise, growing",
    "rotate_ccw": "half a turn against the clock, growing",
    "bounce": "falls and bounces",
    "wipe_left": "uncovered towards the left",
    "wipe_right": "uncovered towards the right",
    "wipe_up": "uncovered upwards",
    "wipe_down": "uncovered downwards",
    "zoom_in": "grows from nothing",
    "swing_in": "swings on its upper edge",
    "elastic_rise": "rises past its place and settles",
    "tilt_zoom": "comes back from near and aslant",
    "smooth_pop": "grows a little past its size",
    "blur": "comes into focus",
    "bounce_motion": "falls and is squashed by each landing",
    "explode": "pieces fly together",
    "overlay": "blended by `overlay` while the motion lasts",
    "difference": "blended by the difference while the motion lasts",
    "rubber_in": "stretches and swings out",
    "whip_up": "shoots up from below",
    "glitch_pop": "jumps in through broken pictures",
    "drift_in": "floats in from the lower left",
    "zoom_out": "shrinks to nothing",
    "swing_out": "swings away on its upper edge",
    "elastic_drop": "gathers itself and falls out",
    "evaporate": "turns to smoke from the top down",
    "whip_down": "shoots out below",
    "drift_out": "floats away to the upper right",
    "ken_burns_in": "slowly nearer",
    "ken_burns_out": "slowly away",
    "ken_burns_in_out": "slowly nearer and back",
    "loop_wiggle": "trembles",
    "loop_rotate": "turns in ticks like a clock's hand",
    "loop_rotate_smooth": "turns evenly",
    "loop_3d_spin": "spins about its upright axis",
    "loop_3d_sway": "sways in space",
    "loop_orbit": "runs round a small circle",
    "loop_breathe": "swells and returns",
    "loop_shimmer": "light runs over it",
}
BLENDS: Mapping[str, str] = {
    "none": "laid over",
    "multiply": "the product: never lighter",
    "screen": "the product of the negatives: never darker",
    "overlay": "multiply in the dark, screen in the light of what is below",
    "darken": "the darker of the two",
    "lighten": "the lighter of the two",
    "color_dodge": "brightens what is below",
    "color_burn": "darkens what is below",
    "hard_light": "overlay with the two exchanged",
    "soft_light": "a gentle hard light",
}
DIRECTIONS: Mapping[str, str] = {
    "in and out": "Entrances that are exits with `reversed`",
    "in": "Entrances",
    "out": "Exits",
    "whole": "Over the whole window",
    "loop": "Loops",
}

Cell = tuple[str, Sequence[Any]]
"""A name and its frames, RGB."""

SMALL, LARGE = (128, 72), (224, 126)
LABEL_PX = 16


def sheet(cells: Sequence[Cell], columns: int, frame: tuple[int, int] = SMALL) -> Image.Image:
    """All cells on one picture, each with its frames in a row and its name below."""
    width, height = frame
    wide = len(cells[0][1]) * (width + 2) + 8
    tall = height + LABEL_PX + 6
    out = Image.new("RGB", (wide * columns, tall * -(-len(cells) // columns)), (250, 250, 248))
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(11)
    for number, (name, frames) in enumerate(cells):
        x, y = number % columns * wide + 4, number // columns * tall + 4
        for place, one in enumerate(frames):
            picture = Image.fromarray(one).resize(frame, Image.Resampling.LANCZOS)
            out.paste(picture, (x + place * (width + 2), y))
        draw.text((x, y + height + 1), name, fill=(40, 40, 44), font=font)
    return out


def effect(name: str) -> Cell:
    return name, [scenes.shown(scenes.sample("effects", name, 288, 512))]


def transition(name: str) -> Cell:
    a, b = scenes.lake(144, 256), scenes.town(144, 256)
    return name, [
        scenes.shown(_look.TRANSITIONS[name](a, b, p, Moment(t=p, frame=round(p * 30), length_s=1)))
        for p in (0.2, 0.5, 0.8)
    ]


def motion(name: str) -> Cell:
    a, b = scenes.lake(144, 256), scenes.town(144, 256)
    loop = name.startswith("loop")
    small = 0.5 if loop else 1.0 if name.startswith("ken") else 0.6
    element = np.ascontiguousarray(Image.fromarray(b, "RGBA").resize((round(256 * small), round(144 * small))))
    moments = ((0.15, 0.35), (0.45, 0.8), (0.85, 1.3)) if not loop else ((1, 0.3), (1, 0.75), (1, 1.3))
    if name in ("ken_burns_in", "ken_burns_out", "ken_burns_in_out"):
        moments = ((0.0, 0), (0.5, 1), (1.0, 2))
    pictures = [scenes.put(a, element, name, p, Moment(t=t, frame=round(t * 30 + 1))) for p, t in moments]
    return name, [scenes.shown(picture) for picture in pictures]


def direction_of(name: str) -> str:
    return " and ".join(sorted(names.MOTIONS[name].element))


def sheets() -> Iterator[tuple[str, Image.Image]]:
    """Every picture of the page by its file name."""
    for family, members in names.FAMILIES.items():
        yield f"effects-{family.replace(' ', '-')}.webp", sheet([effect(name) for name in members], 4, LARGE)
    half = len(names.TRANSITIONS) // 2 + 1
    for number, part in enumerate((names.TRANSITIONS[:half], names.TRANSITIONS[half:]), start=1):
        yield f"transitions-{number}.webp", sheet([transition(name) for name in part], 2)
    for direction in DIRECTIONS:
        members = tuple(name for name in names.MOTIONS if direction_of(name) == direction)
        yield f"motions-{direction.replace(' ', '-')}.webp", sheet([motion(name) for name in members], 2)
    a, b = scenes.lake(288, 512), scenes.town(288, 512)
    cells = [(name, [scenes.shown(_look.BLENDS[name](a, b))]) for name in names.BLEND_MODES]
    yield "blend-modes.webp", sheet(cells, 4, LARGE)


def page() -> str:
    """The text of the page."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "<!-- Made from the code by ./mill docs; do not edit. -->"
    yield "# Looks of timeline renders\n"
    yield "What `effects`, `transitions`, `motion` and `blend_mode` of a render do. The pictures are drawn by the code"
    yield "that renders, and a test holds every one of them to its name. `supported: false` in the capabilities means"
    yield "that a name is refused.\n"
    yield "## Effects\n"
    yield "`intensity` is the share of the effect, its strength or its size. The same frame always looks the same:"
    yield "grain, dust and noise are drawn by the number of the frame.\n"
    for family, members in names.FAMILIES.items():
        yield f"### {family.capitalize()}\n"
        yield f"![The effects of this group](looks/effects-{family.replace(' ', '-')}.webp)\n"
        yield from _table(members, EFFECTS, names.SUPPORTED_EFFECTS)
    yield "## Transitions\n"
    yield "At a fifth, a half and four fifths of their time.\n"
    yield "![The first half of the transitions](looks/transitions-1.webp)\n"
    yield "![The second half of the transitions](looks/transitions-2.webp)\n"
    yield from _table(names.TRANSITIONS, TRANSITIONS, names.SUPPORTED_TRANSITIONS)
    yield "## Motion\n"
    yield "Springs and bounces bring their own rhythm and look best with `easing: linear`. A loop makes as many whole"
    yield "rounds as its window holds, so that it starts and ends where the element stands. \\* also per character.\n"
    for direction, title in DIRECTIONS.items():
        yield f"### {title}\n"
        yield f"![These motions](looks/motions-{direction.replace(' ', '-')}.webp)\n"
        members = tuple(name for name in names.MOTIONS if direction_of(name) == direction)
        starred = {name for name in members if names.MOTIONS[name].character}
        yield from _table(members, MOTIONS, names.SUPPORTED_MOTIONS, starred)
    yield "## Names for `animation_preset`\n"
    yield "A text's `animation_preset` is a word for one motion. Case, spaces and hyphens do not count"
    yield "(`slideUp`, `Slide Up`); every motion above goes by its own name, but for the two that blend, and `_in` or"
    yield f"`_out` may follow. Coming and going take {_preset.WINDOW_S:g} s,"
    yield f"at most {_preset.SHARE:.0%} of the text's time."
    yield "A motion of the text's own in the same direction wins; a caption has the animation of its words; other names"
    yield "do nothing.\n"
    yield "| name | what it does |\n|---|---|"
    yield (
        f"| {_words(_preset.TYPING)} | each character appears in turn, {_preset.TYPED_S:g} s apart, all of them within "
        f"{_preset.TYPED_SHARE:.0%} of the text's time |"
    )
    for table, how in ((_preset.NAMES, ""), (_preset.LETTERS, ", one character after the other")):
        for motion in dict.fromkeys(table.values()):
            yield f"| {_words(name for name, meant in table.items() if meant == motion)} | `{motion}`{how} |"
    yield ""
    yield "## Blend modes\n"
    yield "The formulas are those of W3C Compositing and Blending Level 1.\n"
    yield "![The blend modes](looks/blend-modes.webp)\n"
    yield from _table(names.BLEND_MODES, BLENDS, names.SUPPORTED_BLEND_MODES)


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _table(
    members: Sequence[str], said: Mapping[str, str], supported: frozenset[str], starred: set[str] | None = None
) -> Iterator[str]:
    yield "| name | what it does |\n|---|---|"
    for name in members:
        star = "\\*" if starred and name in starred else ""
        yield f"| `{name}`{star} | {said[name]}{'' if name in supported else ' (not supported yet)'} |"
    yield ""


def differs(picture: Image.Image, path: Path) -> bool:
    """Whether a file is not there or looks different."""
    if not path.exists():
        return True
    with Image.open(path) as known:
        if known.size != picture.size:
            return True
        return float(np.abs(np.asarray(known.convert("RGB"), float) - np.asarray(picture, float)).mean()) > 6


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    for name, picture in sheets():
        if differs(picture, PICTURES / name):
            picture.save(PICTURES / name, quality=72, method=6)


if __name__ == "__main__":
    main()
