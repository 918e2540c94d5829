"""The studio as people meet it: a scene is written, what is wrong is said at its line, and it is drawn beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.support.browser import Visitor, browsing, visiting
from tests.support.server import Server

RED = {"width": 64, "height": 48, "duration": 2, "background_color": "#ff0000", "elements": []}


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    with browsing() as running:
        yield running


@pytest.fixture
def visitor(browser: Browser, server: Server) -> Iterator[Visitor]:
    with visiting(browser, server.url) as visitor:
        visitor.sign_in(server.key)
        expect(visitor.page.get_by_role("heading", name="Tasks")).to_be_visible()
        yield visitor
        assert visitor.complaints == []


def write(page: Page, scene: Any) -> None:
    page.get_by_label("Scene as JSON").fill(scene if isinstance(scene, str) else json.dumps(scene, indent=1))


def colour(page: Page) -> list[int]:
    """Of the middle of the picture that is shown."""
    page.wait_for_function("() => { const i = document.querySelector('.screen img'); return i && i.naturalWidth; }")
    found: list[int] = page.evaluate(
        """() => {
            const image = document.querySelector(".screen img"), canvas = document.createElement("canvas");
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            const drawn = canvas.getContext("2d");
            drawn.drawImage(image, 0, 0);
            return [...drawn.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data];
        }"""
    )
    return found


def test_a_scene_is_drawn_when_the_hand_rests_and_again_when_it_changes(visitor: Visitor) -> None:
    page = visitor.go("/ui/")
    page.get_by_role("link", name="Studio").click()
    expect(page.locator(".screen img")).to_be_visible(timeout=30_000)

    for background, expected in (("#ff0000", [255, 0, 0, 255]), ("#0000ff", [0, 0, 255, 255])):
        before = page.locator(".screen img").get_attribute("src")
        write(page, {**RED, "background_color": background})
        expect(page.locator(".screen img")).not_to_have_attribute("src", before or "", timeout=30_000)
        assert colour(page) == pytest.approx(expected, abs=2)


def test_what_is_wrong_is_marked_at_its_line_and_nothing_is_drawn(visitor: Visitor) -> None:
    page = visitor.go("/ui/studio")
    write(page, {**RED, "elements": [{"type": "text", "text": "x", "duration": 1, "font_size": "large"}]})
    line = page.get_by_label("Scene as JSON").input_value().split("\n").index('   "font_size": "large"') + 1

    expect(page.locator(".notes .error")).to_contain_text("elements.0.font_size")
    expect(page.locator(".gutter .error")).to_have_text(str(line))
    page.get_by_role("link", name=f"line {line}").click()
    chosen = page.evaluate("() => { const s = document.querySelector('#scene');"
                           " return s.value.slice(s.selectionStart, s.selectionEnd); }")  # fmt: skip
    assert chosen == '   "font_size": "large"'


def test_a_sheet_and_a_render_are_made_of_it(visitor: Visitor) -> None:
    page = visitor.go("/ui/studio")
    write(page, RED)
    page.get_by_label("Show").select_option("sheet")
    expect(page.locator(".screen img")).to_be_visible(timeout=30_000)
    page.wait_for_function("() => document.querySelector('.screen img').naturalWidth")

    page.get_by_role("button", name="Render it").click()

    page.wait_for_url(re.compile("/ui/tasks/"))
    expect(page.locator(".headline .state").first).to_have_text("succeeded", timeout=30_000)
    expect(page.get_by_text("64 × 48 px")).to_be_visible()


def test_it_works_without_a_script(browser: Browser, server: Server) -> None:
    with visiting(browser, server.url, java_script_enabled=False) as visitor:
        visitor.sign_in(server.key)
        page = visitor.go("/ui/studio")
        write(page, RED)
        page.get_by_role("button", name="Look").click()
        expect(page.locator(".screen img")).to_be_visible(timeout=30_000)
        expect(page.locator(".notes")).to_contain_text("There is nothing to see or hear.")
        write(page, "{\n]")
        page.get_by_role("button", name="Look").click()
        expect(page.locator(".notes .error")).to_contain_text("line 2")
        expect(page.get_by_label("Scene as JSON")).to_have_value("{\n]")


def test_a_source_that_is_refused_is_said_where_the_picture_would_be(server: Server) -> None:
    scene = {**RED, "elements": [{"type": "image", "id": "a", "source_url": "file:fnone", "duration": 1}]}
    with httpx.Client(base_url=server.url, headers={"origin": server.url}, timeout=60) as client:
        client.post("/ui/login", data={"key": server.key})
        answer = client.post("/ui/studio", data={"scene": json.dumps(scene)}, headers={"accept": "application/json"})
        bad = client.post("/ui/studio", data={"scene": json.dumps(RED), "at": "soon"})
        client.headers["origin"] = "https://elsewhere.example"
        assert client.post("/ui/studio", data={"scene": json.dumps(RED)}).status_code == 403

    assert "fnone" in answer.json()["seen"]
    assert bad.status_code == 422
    assert "must be seconds from the beginning." in bad.text
