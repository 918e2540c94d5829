"""A headless Chromium, for looking at pages as people do."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from tests.support.node import NODE

ARGUMENTS = (
    "--no-sandbox",  # runs as root in containers
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 60_000
"""How long a page may take to come to what is expected of it, on a machine that has other things to do."""


@cache
def _chromium() -> str | None:
    """Where there is one that runs. Ubuntu's package only says that there is a snap."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is not None and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return path
    return None


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """Chromium with an empty profile. Where there is none, tests are skipped; under CI they fail where `./mill test`
    installs it."""
    path = _chromium()
    if path is None:
        missing = "Chromium is not installed; Debian's package is called chromium."
        if os.environ.get("CI") and os.getuid() == 0 and platform.freedesktop_os_release().get("ID") != "ubuntu":
            pytest.fail(missing)
        pytest.skip(missing)
    expect.set_options(timeout=PATIENCE_MS)
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = str(NODE)  # its own wants libatomic, which a fresh machine has not
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Someone with a browser of their own. `complaints` collects what the console said was wrong."""

    context: BrowserContext
    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Open a page of the server."""
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self, key: str) -> Page:
        """Sign in by the form."""
        self.go("/ui/login")
        self.page.get_by_label("Key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        return self.page


@contextlib.contextmanager
def visiting(browser: Browser, url: str, **settings: Any) -> Iterator[Visitor]:
    """A visitor with an empty cookie jar. settings: as Playwright's new_context takes them."""
    context = browser.new_context(**{"locale": "en-GB", "timezone_id": "UTC", **settings})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    visitor = Visitor(context, page, url)

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visitor.complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    try:
        yield visitor
    finally:
        context.close()
