"""What the form offers for an input, on a small install."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mediamill.app import installed
from mediamill.dashboard.choices import Choices, mime_of_url
from mediamill.dashboard.forms import Field


@pytest.fixture(scope="module")
def choices() -> Choices:
    return Choices(installed())


def target(fields: Sequence[Field]) -> Field:
    return next(field for field in fields if field.path == ("format",))


def test_targets_are_what_the_type_can_become(choices: Choices) -> None:
    offered = {choice.label for choice in target(choices.ask("convert", "image/png", None).fields).choices}

    assert {"webp", "jpeg"} <= offered
    assert not {"mp3", "xlsx"} & offered


def test_without_a_known_type_every_target_is_offered(choices: Choices) -> None:
    offered = {choice.label for choice in target(choices.ask("convert", None, None).fields).choices}

    assert {"webp", "mp3", "xlsx"} <= offered


def test_settings_that_do_not_act_stand_apart(choices: Choices) -> None:
    ask = choices.ask("convert", "image/png", "webp")

    assert ask.target == "image/webp"
    assert {"format", "quality", "resize"} <= {field.path[0] for field in ask.fields}
    assert {"bitrate", "fps"} <= {field.path[0] for field in ask.idle}


def test_nothing_is_set_apart_before_a_target_is_chosen(choices: Choices) -> None:
    assert choices.ask("convert", "image/png", None).idle == ()


def test_optimising_asks_for_the_settings_of_its_own_type(choices: Choices) -> None:
    ask = choices.ask("optimise", "image/png", None)

    assert "bitrate" in {field.path[0] for field in ask.idle}


def test_a_type_that_becomes_nothing_is_a_dead_end(choices: Choices) -> None:
    assert choices.ask("convert", "application/octet-stream", None).dead_end == "application/octet-stream"


@pytest.mark.parametrize(
    ("url", "mime"),
    [
        ("https://host/a/b.PNG?x=1.mp3", "image/png"),
        ("https://host/a.tar.gz", "application/gzip"),
        ("https://host/", None),
        ("https://[", None),
    ],
)
def test_an_addresses_ending_hints_at_its_type(url: str, mime: str | None) -> None:
    assert mime_of_url(url) == mime
