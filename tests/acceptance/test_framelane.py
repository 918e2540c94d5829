"""Framelane on a real server: media is put, worked on and fetched back by nothing but the API, and looked at."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.support import av, scenes, vision
from tests.support import models as kept
from tests.support.children import in_company
from tests.support.framelane import MIMES, V1, completed, ended, fetched, good, put
from tests.support.receiver import Listening, Post, Reply
from tests.support.server import Server, serving, until
from tests.support.voices import passage, silence, write

from mediamill.engines import _face
from mediamill.engines.av_probe import PROBER

FACE = Path(__file__).parents[1] / "media" / "faces" / "collins.jpg"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    models = kept.folder(*_face.MODELS, "selfie", "waifu2x")
    with serving(
        environment={
            "MEDIAMILL_ALLOW_NETWORKS": "127.0.0.0/8",
            "MEDIAMILL_MODELS": str(models),
            "MEDIAMILL_RETRY_FIRST_S": "0.05",
            "MEDIAMILL_SLOTS": "2",
        }
    ) as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere(media: Path) -> Iterator[Listening]:
    """Another web server: it has the files of `media`, and answers 404 for any other."""

    async def answer(post: Post) -> Reply:
        path = media / post.path.lstrip("/")
        if not path.is_file():
            return Reply(404, body=b"no such file")
        return Reply(200, {"content-type": MIMES.get(path.suffix, "application/octet-stream")}, path.read_bytes())

    with Listening() as made:
        made.receiver.answer_with(answer)
        yield made


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips with sound, a logo, a tone, somebody who speaks, and a file that is none."""
    folder = tmp_path_factory.mktemp("media")
    for name, pattern in (("beach.mp4", "testsrc2"), ("city.mp4", "testsrc")):
        av.ffmpeg(
            "-f", "lavfi", "-i", f"{pattern}=s=270x480:r=30:d=3", "-f", "lavfi", "-i", "sine=330:d=3",
            "-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "12", "-g", "30", folder / name,
        )  # fmt: skip
    scenes.flat(folder / "logo.png", (255, 0, 128), (80, 40))
    scenes.tone(folder / "bed.wav", hertz=880, seconds=4)
    write(folder / "talk.flac", silence(0.5), passage("meeting").part(0, 8).samples)
    (folder / "words.mp4").write_text("This is no film at all. " * 50)
    return folder


def example(source: dict[str, str], **more: Any) -> dict[str, Any]:
    """The scene of the contract's section 6.8, small."""
    return {
        "width": 270, "height": 480, "frame_rate": 30, "duration": 3, "output_format": "mp4",
        "background_color": "#101020",
        "elements": [
            {"type": "video", "id": "a", "source_url": source["beach"], "in_point": 1, "out_point": 2.5, "volume": 0},
            {"type": "video", "id": "b", "source_url": source["city"], "time": 1.5, "out_point": 1.5, "volume": 0},
            {"type": "image", "id": "logo", "source_url": source["logo"], "duration": 3, "x": "85%", "y": "8%",
             "width": "20%", "height": "8%", "z_index": 5, "opacity": 80},
            {"type": "text", "id": "t", "text": "Two days away", "time": 0.5, "duration": 2, "font_size": 32,
             "y": "70%", "motion": [{"type": "fade", "time": 0.5, "duration": 0.4},
                                    {"type": "fade", "time": 2.1, "duration": 0.4, "reversed": True}]},
            {"type": "audio", "source_url": source["bed"], "out_point": 3, "volume": 40, "fade_out_duration": 1},
        ],
        "transitions": [{"type": "cross_dissolve", "duration": 0.8, "from_id": "a", "to_id": "b"}],
        **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def source(server: Server, media: Path) -> dict[str, str]:
    with server.client() as http:
        return {name.partition(".")[0]: put(http, media / name) for name in FILES}


FILES = ("beach.mp4", "city.mp4", "logo.png", "bed.wav", "talk.flac")


def test_the_example_is_rendered_from_uploads_and_its_previews_are_its_frames(
    http: httpx.Client, source: dict[str, str], tmp_path: Path
) -> None:
    begun = http.post(f"{V1}/renders", json=example(source, metadata={"cut": "2"}))
    job = good(begun, 202)
    assert begun.headers["location"].endswith(f"/v1/renders/{job['id']}")
    assert job["status"] == "queued"  # its sources lie here already

    job = completed(http, job)

    assert (job["kind"], job["task_type"], job["metadata"]) == ("render", None, {"cut": "2"})
    assert (job["output"]["width"], job["output"]["height"]) == (270, 480)
    assert abs(job["output"]["duration"] - 3) < 0.05
    film = fetched(http, job, tmp_path, "mp4")
    frames = scenes.lights(film)
    assert len(frames) == 90
    assert abs(av.pitch_hz(film) - 880) < 3
    for at in (0.2, 1.5, 2.3):
        shown = good(http.post(f"{V1}/preview", json={"render_request": example(source), "at": at}), 200)
        assert (shown["ok"], shown["violations"]) == (True, [])
        look = shown["preview"]
        assert (look["mode"], look["width"], look["height"], look["times"]) == ("frame", 270, 480, [at])
        seen = np.array(Image.open(io.BytesIO(httpx.get(look["url"]).content)).convert("RGB"))
        assert vision.ssim(scenes.light(seen), frames[round(at * 30)]) >= 0.99, at


def test_a_sheet_and_a_part_are_shown_and_a_dry_run_makes_nothing(http: httpx.Client, source: dict[str, str]) -> None:
    sheet = good(http.post(f"{V1}/preview", json=example(source)), 200)["preview"]
    part = {"render_request": example(source), "window": {"start": 1, "end": 2}}
    window = good(http.post(f"{V1}/preview", json=part), 200)["preview"]
    dry = good(http.post(f"{V1}/preview", json={"render_request": example(source), "dry_run": True}), 200)
    few = {"render_request": example(source), "contact_sheet": {"frames": 4}}
    four = good(http.post(f"{V1}/preview", json=few), 200)["preview"]

    assert sheet["mode"] == four["mode"] == "contact_sheet"
    assert (len(sheet["times"]), len(four["times"])) == (9, 4)
    assert sheet["times"] == sorted(set(sheet["times"]))
    picture = Image.open(io.BytesIO(httpx.get(sheet["url"]).content))
    assert picture.size == (sheet["width"], sheet["height"])
    assert (window["mode"], window["content_type"]) == ("window", "video/mp4")
    assert dry == {"ok": True, "violations": [], "preview": None}
    too_late = {"render_request": example(source), "at": 99}
    assert http.post(f"{V1}/preview", json=too_late).status_code == 422


@pytest.mark.parametrize("format", ["webm", "mov"])
def test_a_transparent_film_keeps_its_transparency(http: httpx.Client, tmp_path: Path, format: str) -> None:
    words = {"type": "text", "text": "Hill", "duration": 0.4, "font_size": 60, "text_color": "#ff0000"}
    request = {"width": 160, "height": 90, "output_format": format, "alpha": True, "elements": [words]}

    job = completed(http, good(http.post(f"{V1}/renders", json=request), 202))

    film = fetched(http, job, tmp_path, format)
    alpha = transparency(film)
    assert (alpha[:10].max(), alpha.max()) == (0, 255)


def transparency(path: Path) -> NDArray[np.uint8]:
    """The alpha of a film's first frame; libvpx reads what Matroska keeps beside the pictures."""
    target = path.with_suffix(".first.png")
    decoder = ("-c:v", "libvpx-vp9") if path.suffix == ".webm" else ()
    av.ffmpeg(*decoder, "-i", path, "-frames:v", "1", "-pix_fmt", "rgba", target)
    return np.array(Image.open(target))[:, :, 3]


def test_a_gif_moves_and_a_still_is_the_first_frame(http: httpx.Client, source: dict[str, str], tmp_path: Path) -> None:
    moving = example(source, output_format="gif", frame_rate=10, output_filename="trip")
    film = completed(http, good(http.post(f"{V1}/renders", json=moving), 202))
    picture = example(source, output_format="png")
    still = completed(http, good(http.post(f"{V1}/renders", json=picture), 202))

    redirect = http.get(f"{V1}/renders/{film['id']}/download")
    name = httpx.get(redirect.headers["location"]).headers["content-disposition"]
    with Image.open(fetched(http, film, tmp_path, "gif")) as gif:
        assert (gif.size, getattr(gif, "n_frames", 1)) == ((270, 480), 30)
    assert 'filename="trip.gif"' in name
    shown = good(http.post(f"{V1}/preview", json={"render_request": picture, "at": 0}), 200)["preview"]
    assert np.array_equal(
        np.array(Image.open(fetched(http, still, tmp_path, "png")).convert("RGB")),
        np.array(Image.open(io.BytesIO(httpx.get(shown["url"]).content)).convert("RGB")),
    )


def test_a_project_is_edited_looked_at_and_rendered_as_it_stands(
    http: httpx.Client, source: dict[str, str], tmp_path: Path
) -> None:
    scene = example(source, output_format="png", background_color="#00ff00", elements=[], transitions=[])
    made = good(http.post(f"{V1}/projects", json={"name": "Trip", "render_request": scene}), 201)
    path = f"{V1}/projects/{made['id']}"
    logo = {"type": "image", "id": "l", "source_url": source["logo"], "duration": 3, "height": "50%", "width": "50%"}
    good(http.post(f"{path}/ops", json={"ops": [{"op": "add_element", "element": logo}], "if_version": 1}), 200)

    look = good(http.post(f"{path}/preview", json={"at": 0}), 200)["preview"]
    job = completed(http, good(http.post(f"{path}/renders"), 202))

    picture = np.array(Image.open(fetched(http, job, tmp_path, "png")).convert("RGB"))
    assert np.array_equal(picture, np.array(Image.open(io.BytesIO(httpx.get(look["url"]).content)).convert("RGB")))
    assert tuple(picture[2, 2]) == (0, 255, 0)
    assert av.close(tuple(int(v) for v in picture[240, 135]), (255, 0, 128), 4)


def test_what_is_said_comes_as_a_transcript(
    http: httpx.Client, source: dict[str, str], media: Path, tmp_path: Path
) -> None:
    asked = {
        "source_url": source["talk"], "language": "en", "speaker_labels": True, "entity_detection": True,
        "auto_highlights": True,
    }  # fmt: skip
    job = completed(http, good(http.post(f"{V1}/tasks/transcribe", json=asked), 202))

    told = json.loads(fetched(http, job, tmp_path, "json").read_text())
    output, length = job["output"], PROBER.probe(media / "talk.flac", "audio/flac").duration_s
    assert (output["width"], output["height"]) == (None, None)
    assert output["duration"] == pytest.approx(length, abs=0.1)
    assert (told["status"], told["speech_model"], told["audio_url"]) == ("completed", "universal-2", source["talk"])
    assert told["text"]
    assert told["words"] == sorted(told["words"], key=lambda word: word["start"])
    assert all(isinstance(word[end], int) for word in told["words"] for end in ("start", "end"))
    assert told["utterances"][0]["speaker"] == "A"
    assert told["sentiment_analysis_results"] is None
    assert told["auto_highlights_result"]["status"] in ("success", "unavailable")


def speaker(path: Path) -> Path:
    """A second of somebody who looks at us, with a tone."""
    still, sound = ("-loop", "1", "-r", "10", "-i", FACE), ("-f", "lavfi", "-i", "sine=440:duration=1")
    av.ffmpeg(
        *still,
        *sound,
        "-vf",
        "scale=320:240",
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        "libx264",
        "-crf",
        "12",
        "-c:a",
        "aac",
        "-t",
        "1",
        path,
    )
    return path


def test_people_are_cut_out_of_a_film_and_of_a_picture(http: httpx.Client, tmp_path: Path) -> None:
    talk = put(http, speaker(tmp_path / "talk.mp4"))
    portrait = put(http, vision.PICTURES / "astronaut.jpg")

    film = completed(http, good(http.post(f"{V1}/tasks/remove-background", json={"source_url": talk}), 202))
    still = completed(http, good(http.post(f"{V1}/tasks/remove-background", json={"source_url": portrait}), 202))
    mov = {"source_url": talk, "output_format": "mov"}
    master = completed(http, good(http.post(f"{V1}/tasks/remove-background", json=mov), 202))

    for job, ending in ((film, "webm"), (master, "mov")):
        assert (job["output"]["width"], job["output"]["height"]) == (320, 240)
        assert job["output"]["duration"] == pytest.approx(1, abs=0.11)
        cut = fetched(http, job, tmp_path, ending)
        alpha = transparency(cut)
        assert (alpha[5:15, 5:15].mean(), alpha[120:200, 140:180].mean()) == (
            pytest.approx(0, abs=40),
            pytest.approx(255, abs=40),
        )
        assert abs(av.pitch_hz(cut) - 440) < 5
    with Image.open(fetched(http, still, tmp_path, "png")) as picture:
        assert picture.mode == "RGBA"
        assert picture.size == (still["output"]["width"], still["output"]["height"])


def test_a_film_and_a_picture_are_made_larger(http: httpx.Client, tmp_path: Path) -> None:
    small = av.film(tmp_path / "small.mp4", "-pix_fmt", "yuv420p", size="64x36", rate="10", seconds=0.5)
    source, logo = put(http, small), put(http, scenes.flat(tmp_path / "logo.png", (9, 200, 9), (31, 20)))

    film = good(http.post(f"{V1}/tasks/super-resolution", json={"source_url": source, "scale": 1.5}), 202)
    still = good(http.post(f"{V1}/tasks/super-resolution", json={"source_url": logo}), 202)

    film, still = completed(http, film), completed(http, still)
    assert (film["output"]["width"], film["output"]["height"]) == (96, 54)
    assert film["output"]["duration"] == pytest.approx(0.5, abs=0.1)
    assert len(av.frames(fetched(http, film, tmp_path, "mp4"))) == 5
    assert (still["output"]["width"], still["output"]["height"]) == (62, 40)


def test_eyes_are_turned_and_where_no_face_is_the_task_says_so(http: httpx.Client, tmp_path: Path) -> None:
    talk = put(http, speaker(tmp_path / "talk.mp4"))
    nobody = put(http, av.film(tmp_path / "nobody.mp4", "-pix_fmt", "yuv420p", rate="10", seconds=0.5))

    turned = good(http.post(f"{V1}/tasks/gaze-redirect", json={"source_url": talk, "intensity": 1}), 202)
    none = good(http.post(f"{V1}/tasks/gaze-redirect", json={"source_url": nobody}), 202)

    turned, none = completed(http, turned), ended(http, none)
    assert (turned["output"]["width"], turned["output"]["height"]) == (320, 240)
    film = fetched(http, turned, tmp_path, "mp4")
    assert len(av.frames(film)) == 10
    assert abs(av.pitch_hz(film) - 440) < 5
    assert (none["status"], none["output"], none["error"]["code"]) == ("failed", None, "no_face_detected")
    assert http.get(f"{V1}/tasks/{none['id']}/download").status_code == 409


@pytest.mark.parametrize("path", ["tasks/super-resolution", "tasks/transcribe", "renders", "imports"])
def test_a_source_that_is_not_there_fails_the_job(http: httpx.Client, elsewhere: Listening, path: str) -> None:
    url = elsewhere.receiver.url("/nowhere.mp4")
    body = {"source_url": url, "url": url, "elements": [{"type": "video", "source_url": url}]}
    job = good(http.post(f"{V1}/{path}", json=body), 202)

    if path == "imports":
        until(lambda: http.get(f"{V1}/imports/{job['id']}").json()["status"] != "processing")
        found = http.get(f"{V1}/imports/{job['id']}").json()
    else:
        found = ended(http, job)

    assert (found["status"], found["error"]["code"]) == ("failed", "source_not_found")
    assert set(found["error"]) == {"code", "message"}


@pytest.mark.parametrize("path", ["tasks/super-resolution", "tasks/remove-background", "tasks/transcribe", "renders"])
def test_a_source_that_is_no_media_fails_the_job(http: httpx.Client, media: Path, path: str) -> None:
    url = put(http, media / "words.mp4")
    body = {"source_url": url, "elements": [{"type": "video", "source_url": url}]}

    found = ended(http, good(http.post(f"{V1}/{path}", json=body), 202))

    assert found["status"] == "failed"
    assert found["error"]["code"] in ("codec_unsupported", "invalid_source")


def test_a_picture_cut_out_as_a_film_is_an_unsupported_feature(
    http: httpx.Client, media: Path, elsewhere: Listening
) -> None:
    path, asked = f"{V1}/tasks/remove-background", {"output_format": "webm"}

    for url in (put(http, media / "logo.png"), elsewhere.receiver.url("/logo.png")):
        found = ended(http, good(http.post(path, json={"source_url": url, **asked}), 202))

        assert (found["status"], found["error"]["code"]) == ("failed", "unsupported_feature")
        assert "a picture becomes png; webm is for films" in found["error"]["message"]


def test_sources_elsewhere_are_fetched_and_an_import_becomes_an_asset(
    http: httpx.Client, elsewhere: Listening, tmp_path: Path
) -> None:
    body = {"url": elsewhere.receiver.url("/beach.mp4"), "filename": "sea.mp4"}
    made = good(http.post(f"{V1}/imports", json=body), 202)
    assert (made["status"], made["source_url"]) == ("processing", None)
    until(lambda: http.get(f"{V1}/imports/{made['id']}").json()["status"] == "ready")

    ready = http.get(f"{V1}/imports/{made['id']}").json()
    clip = {"type": "video", "source_url": ready["source_url"], "out_point": 0.4}
    other = {"type": "video", "source_url": elsewhere.receiver.url("/city.mp4"), "out_point": 0.4, "time": 0.4}
    request = {"width": 64, "height": 36, "elements": [clip, other], "ingest_external": True}
    job = completed(http, good(http.post(f"{V1}/renders", json=request), 202))

    assert ready["source_url"].endswith(".mp4")
    assert len(av.frames(fetched(http, job, tmp_path, "mp4"))) == 24
    until(lambda: any(one["source_url"] == ready["source_url"] for one in assets(http)))
    [asset] = [one for one in assets(http) if one["source_url"] == ready["source_url"]]
    assert (asset["kind"], asset["width"], asset["height"]) == ("video", 270, 480)
    assert asset["duration"] == pytest.approx(3, abs=0.1)


def assets(http: httpx.Client) -> list[Any]:
    found: list[Any] = good(http.get(f"{V1}/workspace/assets", params={"limit": 200}), 200)["data"]
    return found


def test_a_job_made_before_its_upload_waits_for_it(http: httpx.Client, media: Path) -> None:
    upload = good(http.post(f"{V1}/uploads", json={"content_type": "video/mp4"}), 201)
    clip = {"type": "video", "source_url": upload["source_url"], "out_point": 0.2}
    job = good(http.post(f"{V1}/renders", json={"width": 64, "height": 36, "elements": [clip]}), 202)
    assert good(http.get(f"{V1}/renders/{job['id']}", params={"wait": 1}), 200)["status"] == "queued"

    assert httpx.put(upload["upload_url"], content=(media / "beach.mp4").read_bytes()).status_code == 200

    completed(http, job)


def test_a_cancelled_render_stops_and_leaves_nothing(http: httpx.Client, source: dict[str, str]) -> None:
    films = len(assets(http))
    long = example(source, width=1080, height=1920, frame_rate=60, duration=600)
    job = good(http.post(f"{V1}/renders", json=long), 202)
    until(lambda: http.get(f"{V1}/renders/{job['id']}").json()["status"] == "processing")

    begun = time.monotonic()
    stopped = good(http.delete(f"{V1}/renders/{job['id']}"), 200)

    assert time.monotonic() - begun < in_company(10)
    assert (stopped["status"], stopped["output"], stopped["error"]) == ("cancelled", None, None)
    assert good(http.delete(f"{V1}/renders/{job['id']}"), 200) == stopped
    assert http.get(f"{V1}/renders/{job['id']}/download").status_code == 409
    assert len(assets(http)) == films


def test_a_preview_does_not_stand_in_line_behind_renders(http: httpx.Client, source: dict[str, str]) -> None:
    long = example(source, width=64, height=64, duration=3600)
    jobs = [good(http.post(f"{V1}/renders", json={**long, "metadata": {"n": str(n)}}), 202) for n in range(3)]
    paths = [f"{V1}/renders/{job['id']}" for job in jobs]

    def crowded() -> bool:
        found = [http.get(path).json()["status"] for path in paths]
        return sorted(found) == ["processing", "processing", "queued"]

    try:
        until(crowded)

        shown = good(http.post(f"{V1}/preview", json={"render_request": example(source), "at": 0.5}), 200)

        assert shown["preview"]["url"]
        assert crowded()
    finally:
        for path in paths:
            http.delete(path)


def test_links_serve_ranges_and_an_altered_one_is_refused(http: httpx.Client, source: dict[str, str]) -> None:
    still = example(source, output_format="jpg", width=64, height=64)
    job = completed(http, good(http.post(f"{V1}/renders", json=still), 202))

    link = http.get(f"{V1}/renders/{job['id']}/download").headers["location"]
    whole = httpx.get(link).content
    part = httpx.get(link, headers={"range": "bytes=2-9"})
    altered = httpx.get(link[:-1] + ("a" if link[-1] != "a" else "b"))

    assert (part.status_code, part.content) == (206, whole[2:10])
    assert part.headers["content-range"] == f"bytes 2-9/{len(whole)}"
    assert Image.open(io.BytesIO(whole)).size == (64, 64)
    assert altered.status_code == 403
    assert altered.json()["error"]["code"] == "forbidden"
