"""Packages played by hls.js and dash.js in a headless Chromium, over HTTP with ranges: pictures, sound and subtitles
are really shown, at the rung's size, from the start and after a seek."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.support.adaptive import Packaged, halves, package
from tests.support.browser import browsing, visiting
from tests.support.ranges import serving

from mediamill.kinds import Input

PLAYERS = Path(__file__).parents[1] / "support" / "players"
SECONDS = 14.0
NEEDED = 'video/mp4; codecs="avc1.64001e, mp4a.40.2"'

PAGE = """<!doctype html><title>Player</title><video id="v" muted playsinline crossorigin="anonymous"></video>
<script src="/hls.min.js"></script><script src="/dash.all.min.js"></script>
<script>
const v = document.getElementById('v'), said = [];
function start(kind, manifest, level) {
  if (kind === 'hls') {
    const hls = new Hls({startLevel: level, enableWorker: false, capLevelToPlayerSize: false});
    hls.on(Hls.Events.ERROR, (_, e) => { if (e.fatal || !e.details.includes('Stalled')) said.push(e.details); });
    hls.on(Hls.Events.MANIFEST_PARSED, () => { hls.loadLevel = level; hls.subtitleTrack = 0; v.play(); });
    hls.loadSource(manifest); hls.attachMedia(v); window.player = hls;
  } else {
    const dash = dashjs.MediaPlayer().create();
    dash.updateSettings({debug: {logLevel: 0}, streaming: {abr: {
      autoSwitchBitrate: {video: false}, initialBitrate: {video: level === 0 ? 1 : 100000}}}});
    dash.on('error', e => said.push(JSON.stringify(e.error || {})));
    dash.initialize(v, manifest, true); dash.setMute(true); window.player = dash;
  }
}
function state() {
  return {t: v.currentTime, w: v.videoWidth, h: v.videoHeight, d: v.duration, ready: v.readyState,
          sound: v.webkitAudioDecodedByteCount, frames: v.getVideoPlaybackQuality().totalVideoFrames,
          cues: [...v.textTracks].flatMap(t => [...(t.cues || [])].map(c => c.text)), said};
}
function colour() {
  const c = document.createElement('canvas'); c.width = v.videoWidth; c.height = v.videoHeight;
  const g = c.getContext('2d'); g.drawImage(v, 0, 0);
  return [...g.getImageData(c.width - 20, c.height - 20, 1, 1).data].slice(0, 3);
}
</script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    folder = tmp_path_factory.mktemp("film")
    film = halves(folder / "two halves.mp4", seconds=SECONDS)
    words = folder / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:13,000\nHello there\n")
    attached = Input(path=words, mime="application/x-subrip", filename="words.srt")
    subtitles = [{"url": "https://example.org/words.srt", "label": "English", "language": "en", "default": True}]
    packed = package(film, "video/mp4", folder / "made", attached, subtitles=subtitles)
    (packed.folder / "player.html").write_text(PAGE)
    return packed


def played(browser: Browser, made: Packaged, kind: str, manifest: str, level: int) -> dict[str, Any]:
    """Play from the start, then seek to the last quarter and play on; what was seen on the way."""
    with serving(made.folder, PLAYERS) as served, visiting(browser, served.url) as visitor:
        page = visitor.go("/player.html")
        assert page.evaluate("type => MediaSource.isTypeSupported(type)", NEEDED), (
            "This Chromium has no H.264 and AAC; Debian's and Google's builds have."
        )
        page.evaluate("a => start(a.kind, a.manifest, a.level)", {"kind": kind, "manifest": manifest, "level": level})
        page.wait_for_function("() => v.currentTime > 1 && state().cues.length > 0", timeout=60_000)
        first, first_colour = page.evaluate("state()"), page.evaluate("colour()")
        page.evaluate("t => { v.currentTime = t }", SECONDS * 0.75)
        page.wait_for_function("t => v.currentTime > t && !v.seeking", arg=SECONDS * 0.75 + 0.5, timeout=60_000)
        last, last_colour = page.evaluate("state()"), page.evaluate("colour()")
        asked = list(served.asked)
    assert first["said"] == last["said"] == []
    return {"first": first, "last": last, "colours": [first_colour, last_colour], "asked": asked}


def is_red(colour: list[int]) -> bool:
    return colour[0] > 180 and max(colour[1:]) < 70


def is_blue(colour: list[int]) -> bool:
    return colour[2] > 180 and max(colour[:2]) < 70


@pytest.mark.parametrize(("kind", "level"), [("hls", 0), ("hls", 1), ("dash", 0), ("dash", 1)])
def test_a_package_plays_at_the_rungs_size_with_sound_and_words_and_seeks(
    browser: Browser, made: Packaged, kind: str, level: int
) -> None:
    manifest = made.hls if kind == "hls" else made.dash
    rung = sorted(made.details["ladder"], key=lambda one: one["bandwidth_bps"])[level]

    seen = played(browser, made, kind, f"/{manifest.name}", level)

    assert (seen["first"]["w"], seen["first"]["h"]) == (rung["width_px"], rung["height_px"]), json.dumps(seen["first"])
    assert abs(seen["first"]["d"] - SECONDS) < 0.1
    assert seen["first"]["sound"] > 0
    assert seen["first"]["cues"][0] == "Hello there"
    assert seen["last"]["frames"] > seen["first"]["frames"]
    assert is_red(seen["colours"][0])
    assert is_blue(seen["colours"][1])
    media = {name for name, wanted in seen["asked"] if wanted}
    assert rung["file"] in media


@pytest.mark.parametrize("kind", ["hls", "dash"])
def test_the_early_package_plays(browser: Browser, made: Packaged, kind: str) -> None:
    early = {output.path.suffix: output.filename for output in made.early[0] if "early." in output.filename}

    seen = played(browser, made, kind, "/" + early[".m3u8" if kind == "hls" else ".mpd"], 0)

    assert (seen["first"]["w"], seen["first"]["h"]) == (640, 360)
    assert is_red(seen["colours"][0])
    assert is_blue(seen["colours"][1])
