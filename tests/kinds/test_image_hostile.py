"""Inputs made to mislead the kinds `image` and `audio`: nothing they name is read, and every failure is in words."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image
from tests.support import images
from tests.support.av import film, tone
from tests.support.images import seen
from tests.support.media_kinds import run

from mediamill.core.errors import BadMedia, Failed, LimitExceeded

SCRIPTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ncanary.ts\n#EXT-X-ENDLIST\n",
    "m3u8-http": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile canary.ts\n",
}


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return film(tmp_path / "canary.ts", "-c:v", "libx264", "-c:a", "aac", size="64x64", seconds=0.5)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", ["film.mp4", "film.avi", "film.ts", "sound.mp3", "sound.m4a"])
def test_a_playlist_or_script_named_as_media_leads_nowhere(
    name: str, script: str, canary: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(SCRIPTS[script])

    for kind in ("audio", "image"):
        with pytest.raises(BadMedia):
            run(kind, tmp_path / name, tmp_path / kind)


def test_a_drawing_shows_no_file_that_it_names(tmp_path: Path) -> None:
    Image.new("RGB", (50, 50), (0, 255, 0)).save(tmp_path / "canary.png")
    drawing = tmp_path / "drawing.svg"
    links = (f"file://{tmp_path}/canary.png", "canary.png", "http://127.0.0.1:9/canary.png")
    pictures = "".join(f"<image width='50' height='50' href='{link}'/>" for link in links)
    drawing.write_text(f"<svg xmlns='http://www.w3.org/2000/svg' width='50' height='50'>{pictures}</svg>")
    ground = images.save(tmp_path / "ground.png", images.scene())

    alone = run("image", drawing, tmp_path / "a", format="png").result.path
    layer = {"kind": "image", "url": "https://pictures.example/drawing.svg", "width": 160, "height": 120}
    over = run("image", ground, tmp_path / "b", drawing, format="png", layers=[layer]).result.path

    assert seen(alone)[..., -1].max() == 0
    assert images.apart(seen(over), images.scene()) < 1


def test_a_text_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    ground = images.save(tmp_path / "ground.png", images.scene())
    layer = {"kind": "text", "text": "W" * 5000, "font_size": 1000}

    with pytest.raises(LimitExceeded):
        run("image", ground, tmp_path / "work", layers=[layer])


def test_a_picture_with_more_pixels_than_any_is_refused(tmp_path: Path) -> None:
    content = bytearray(images.save(tmp_path / "small.png", images.scene()).read_bytes())
    content[16:24] = (100_000).to_bytes(4, "big") * 2
    (tmp_path / "bomb.png").write_bytes(content)

    with pytest.raises((LimitExceeded, BadMedia)):
        run("image", tmp_path / "bomb.png", tmp_path / "work")


@pytest.mark.parametrize("name", ["film.mp4", "film.webm", "sound.mp3", "sound.flac", "photo.heic", "photo.webp"])
def test_damaged_files_fail_in_words_or_not_at_all(name: str, tmp_path: Path) -> None:
    kind, whole = "image", tmp_path / name
    if name.startswith("sound"):
        kind, whole = "audio", tone(whole, seconds=1)
    elif name.startswith("film"):
        film(whole, size="64x64", seconds=1)
    else:
        images.made(tmp_path, whole.suffix[1:]).rename(whole)
    content = whole.read_bytes()
    dice, told = random.Random(7), []

    for number in range(6):
        broken = bytearray(content[: dice.randrange(len(content) // 2, len(content))])
        for _ in range(12):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_bytes(broken)
        try:
            run(kind, folder / name, folder / "work")
        except Failed as error:
            told.append(str(error))
    assert not [words for words in told if not words or str(tmp_path) in words]
