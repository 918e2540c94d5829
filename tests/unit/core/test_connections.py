"""How s3:// URLs are read."""

from __future__ import annotations

import pytest

from mediamill.core.connections import Place, read_place
from mediamill.core.errors import Invalid


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://media/in.mov", Place(bucket="media", key="in.mov")),
        ("S3://media/a/b c/ü%20?x#y.mov", Place(bucket="media", key="a/b c/ü%20?x#y.mov")),
        ("s3://my.bucket_1/.hidden", Place(bucket="my.bucket_1", key=".hidden")),
    ],
)
def test_a_place_is_read_as_it_stands(url: str, place: Place) -> None:
    assert read_place(url) == place
    assert place.url.lower() == url.lower()


@pytest.mark.parametrize(
    "url",
    [
        "https://media/in.mov",
        "s3://",
        "s3://media",
        "s3://media/",
        "s3://media/folder/",
        "s3:///in.mov",
        "s3://me/x",
        "s3://-media/x",
        "s3://a..b/x",
        "s3://me@dia/x",
        "s3://media:80/x",
        "s3://media/../other/x",
        "s3://media/a//b",
        "s3://media/a/./b",
        "s3://media/a\nb",
        "s3://media/a\u202eb",
        "s3://media/" + "ü" * 513,
        "s3://" + "b" * 64 + "/x",
    ],
)
def test_what_names_no_object_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        read_place(url)


def test_a_folder_takes_the_files_own_name() -> None:
    assert read_place("s3://media/out/", folder=True).holding("a.mp4").key == "out/a.mp4"
    assert read_place("s3://media", folder=True).holding("a.mp4").key == "a.mp4"
    assert read_place("s3://media/out/b.mp4", folder=True).holding("a.mp4").key == "out/b.mp4"
    assert read_place("s3://media/out/b.mp4").beside("c.vtt").key == "out/c.vtt"
    assert read_place("s3://media/b.mp4").beside("c.vtt").key == "c.vtt"
