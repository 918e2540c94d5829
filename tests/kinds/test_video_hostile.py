"""The kind `video` under attack, and in the sandboxed child: nothing is followed, nothing is left running."""

from __future__ import annotations

import asyncio
import http.server
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support import films
from tests.support.av import close, ffmpeg, film
from tests.support.children import alive, in_company, until

from mediamill.core.errors import BadMedia, Failed
from mediamill.worker.children import Children, Job, Limits

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
CANARY = (255, 0, 255)
GIB = 1 << 30
LIMITS = Limits(wall_s=60, cpu_s=60, memory_bytes=GIB, output_bytes=GIB, scratch_bytes=GIB, processes=64)


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's film and picture, all magenta: `secret.ts` and `secret.png`."""
    folder = tmp_path_factory.mktemp("other")
    ffmpeg("-f", "lavfi", "-i", "color=0xff00ff:s=320x180:r=25:d=1", *H264[:6], folder / "secret.ts")
    Image.new("RGB", (64, 64), CANARY).save(folder / "secret.png")
    return folder


@pytest.fixture
def loopback(canary: Path) -> Iterator[tuple[str, list[str]]]:
    """A server that would hand out the canary, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(canary))

        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            """Silence."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def shows_canary(path: Path) -> bool:
    return any(
        bool(((np.abs(picture.astype(int) - np.array(CANARY)) < 60).all(axis=2)).mean() > 0.005)
        for picture in films.pictures(path)
    )


def playlist(target: str) -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n"


def in_avi(script: str, path: Path) -> Path:
    """A playlist as the subtitles of an AVI (a GAB2 chunk), which FFmpeg opens by what it finds in them."""
    avih = struct.pack("<10I16x", 40_000, 0, 0, 16, 125, 0, 1, 0, 224, 160)
    strh = struct.pack("<4s4s10I4H", b"txts", b"", 0, 0, 0, 25, 1, 0, 125, 902, 10_000, 0, 0, 0, 224, 160)
    strf = struct.pack("<3I2H6I", 40, 224, 160, 1, 24, 0x44495658, 215_040, 0, 0, 0, 0)
    stream = b"LIST" + parcel(b"strl" + chunk(b"strh", strh) + chunk(b"strf", strf))
    header = b"LIST" + parcel(b"hdrl" + chunk(b"avih", avih) + stream)
    text = b"GAB2\x00\x02\x00" + bytes(10) + script.encode()
    packets = chunk(b"00tx", text + bytes(len(text) % 2)) + chunk(b"00dc", bytes(200)) * 50
    path.write_bytes(b"RIFF" + parcel(b"AVI " + header + b"LIST" + parcel(b"movi" + packets)))
    return path


def parcel(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def chunk(name: bytes, content: bytes) -> bytes:
    return name + parcel(content)


@pytest.mark.parametrize("mime", ["video/mp4", "video/x-msvideo", "video/webm", "video/mp2t", "image/gif"])
@pytest.mark.parametrize("script", ["m3u8", "http", "ffconcat", "dash"])
def test_scripts_named_as_films_are_refused(
    mime: str, script: str, canary: Path, loopback: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = loopback
    (tmp_path / "secret.ts").write_bytes((canary / "secret.ts").read_bytes())
    source = tmp_path / "film.bin"
    source.write_text(
        {
            "m3u8": playlist(str(canary / "secret.ts")),
            "http": playlist(f"{url}/secret.ts"),
            "ffconcat": "ffconcat version 1.0\nfile secret.ts\n",
            "dash": f"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><BaseURL>{url}/</BaseURL></MPD>",
        }[script]
    )

    with pytest.raises(BadMedia):
        films.make(films.given(source, mime), tmp_path / "out", width=64)
    assert asked == []


def test_a_playlist_inside_an_avi_is_not_followed(
    canary: Path, loopback: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = loopback
    for number, target in enumerate((f"{url}/secret.ts", str(canary / "secret.ts"), f"concat:{canary}/secret.ts")):
        source = in_avi(playlist(target), tmp_path / f"{number}.avi")
        assert b"EXTM3U" in source.read_bytes()
        for asked_for in ({}, {"width": 32}):
            with pytest.raises(BadMedia):  # it holds no pictures; what else could be shown would be the canary
                films.make(source, tmp_path / "out", **asked_for)
    assert asked == []


def test_layers_that_name_other_files_show_nothing_of_them(
    canary: Path, loopback: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = loopback
    source = film(tmp_path / "in.mp4", *H264[:6], tone_hz=None, filters="drawbox=c=gray:t=fill", seconds=0.4)
    for number, target in enumerate((f"{url}/secret.png", f"file://{canary}/secret.png", f"{canary}/secret.png")):
        svg = tmp_path / f"{number}.svg"
        svg.write_text(
            "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' width='60' height='60'>"
            f"<rect width='9' height='9' fill='#fff'/><image xlink:href='{target}' width='60' height='60'/>"
            f"<image href='{target}' width='60' height='60'/></svg>"
        )
        made = films.make(source, tmp_path / f"out{number}", svg, layers=[{"kind": "image", "url": "http://x/y"}])
        assert not shows_canary(made.path)
    png = tmp_path / "layer.png"
    png.write_text(playlist(str(canary / "secret.ts")))
    with pytest.raises(BadMedia):
        films.make(source, tmp_path / "out9", png, layers=[{"kind": "image", "url": "http://x/y"}])
    assert asked == []


@pytest.mark.parametrize("style", [{}, {"subtitle_style": "burn_in"}], ids=["track", "burnt"])
def test_subtitles_that_name_other_files_show_nothing_of_them(
    style: dict[str, str], canary: Path, loopback: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = loopback
    source = film(tmp_path / "in.mp4", *H264[:6], tone_hz=None, filters="drawbox=c=gray:t=fill", seconds=0.6)
    lines = (
        f"{{\\fnfile://{canary}/font.ttf}}a",
        f"{{\\img({canary}/secret.png)}}b",
        f"<img src='{url}/secret.png'>c",
        f"#EXTM3U {url}/secret.ts",
    )
    subs = tmp_path / "subs.srt"
    subs.write_text("\n\n".join(f"{n}\n00:00:00,000 --> 00:00:00,500\n{line}" for n, line in enumerate(lines, 1)))

    made = films.make(source, tmp_path / "out", subs, subtitle_url=f"{url}/s.srt", **style)

    assert not shows_canary(made.path)
    assert asked == []


def test_a_matroska_that_carries_fonts_and_scripts_hands_none_on(canary: Path, tmp_path: Path) -> None:
    subs = tmp_path / "subs.ass"
    subs.write_text(
        "[Script Info]\nScriptType: v4.00+\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: D,Evil,20\n"
        "[Events]\nFormat: Start, End, Style, Text\nDialogue: 0:00:00.00,0:00:00.50,D,{\\p1}m 0 0 l 9 9{\\p0}hello\n"
    )
    source = tmp_path / "in.mkv"
    attach = ("-attach", str(canary / "secret.png"), "-metadata:s:t", "mimetype=font/ttf")
    pattern = ("-f", "lavfi", "-i", "color=gray:s=64x64:r=25:d=0.6", "-i", str(subs))
    ffmpeg(*pattern, *H264[:6], "-c:s", "ass", *attach, source)

    made = films.make(source, tmp_path / "out")

    assert films.tracks(made.path) == [("video", "h264"), ("subtitle", "mov_text")]


@pytest.mark.parametrize("name", ["-i.mp4", "%03d.mp4", "a;'\"$(x).mp4", "pipe:0.mp4", "a[in];movie=x.mp4"])
def test_no_file_name_is_a_flag_a_pattern_or_a_protocol(name: str, tmp_path: Path) -> None:
    source = film(tmp_path / "plain.mp4", *H264, size="64x64", seconds=0.4).rename(tmp_path / name)

    assert len(films.pictures(films.make(source, tmp_path / "out", width=32).path)) == 10


# in the child, as the worker runs it


def job(source: Path, *attached: tuple[Path, str], limits: Limits = LIMITS, **options: Any) -> Job:
    given = [(str(source), "video/mp4", source.name), *((str(path), mime, path.name) for path, mime in attached)]
    return Job(kind="video", options=options, inputs=given, limits=limits, probe=True)


async def in_child(folder: Path, work: Job, on_report: Any = lambda stage, fraction: None) -> Any:
    pool = Children(slots=1, folder=folder / "slots", readable=[folder])
    await pool.start()
    try:
        async with pool.slot() as slot:
            done = await slot.run(work, on_report)
            [made, *_] = [output for output in done.outputs if output.role == "result"]
            (folder / made.filename).write_bytes(Path(made.path).read_bytes())
            return done
    finally:
        await pool.close()


async def test_everything_works_inside_the_sandbox(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", *H264, tone_hz=None, filters="drawbox=c=gray:t=fill", seconds=1)
    Image.new("RGB", (40, 20), (0, 255, 0)).save(tmp_path / "logo.png")
    (tmp_path / "subs.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nمرحبا WWWW 你好\n")

    done = await in_child(
        tmp_path,
        job(
            source,
            (tmp_path / "logo.png", "image/png"),
            (tmp_path / "subs.srt", "application/x-subrip"),
            format="mov",
            layers=[
                {"kind": "image", "url": "http://x/y", "position": "top_left"},
                {"kind": "text", "text": "Hello", "position": "top_right", "color": "#ffff00"},
            ],
            subtitle_url="http://x/y.srt",
            subtitle_style="burn_in",
        ),
    )

    picture = films.pictures(tmp_path / "in.mov")[10]
    assert close(films.spot(picture, 20, 10), (0, 255, 0))
    assert picture[:40, 240:, 2].min() < 80  # yellow letters
    assert picture[140:].max() > 230  # white letters
    assert done.details["engine"] == "ffmpeg"


async def test_a_cancel_while_encoding_leaves_no_process(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", *H264[:6], size="640x360", rate="30", tone_hz=None, seconds=30)
    pool = Children(slots=1, folder=tmp_path / "slots", readable=[tmp_path])
    encoding = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_report(stage: str, fraction: float | None) -> None:
        if fraction and fraction > 0.02:
            loop.call_soon_threadsafe(encoding.set)

    await pool.start()
    try:
        async with pool.slot() as slot:
            running = asyncio.create_task(
                slot.run(job(source, format="webm", quality="very_high"), on_report)  # slow enough to be caught at it
            )
            async with asyncio.timeout(30):
                await encoding.wait()
            programs = ffmpegs(tmp_path)
            assert programs
            await slot.kill()
            with pytest.raises(Failed):
                await running
            await until(lambda: not any(alive(pid) for pid in programs), timeout_s=in_company(1))
    finally:
        await pool.close()


def ffmpegs(folder: Path) -> list[int]:
    """The processes whose command line names a file of this test."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"ffmpeg" in words and str(folder).encode() in words:
                found.append(int(entry.name))
    return found
