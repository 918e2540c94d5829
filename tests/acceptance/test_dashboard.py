"""The dashboard as people meet it: a real server and its worker, a real browser."""

from __future__ import annotations

import contextlib
import html
import io
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from tests.support.browser import Visitor, browsing, visiting
from tests.support.server import Server, until

PAGES = (
    "/ui/",
    "/ui/new",
    "/ui/files",
    "/ui/runs",
    "/ui/studio",
    "/ui/schedules",
    "/ui/prompts",
    "/ui/webhooks",
    "/ui/keys",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as running:
        yield running


@pytest.fixture(scope="module")
def signed_in(browser: Browser, server: Server) -> Any:
    """The cookies of someone who signed in as the administrator."""
    with visiting(browser, server.url) as visitor:
        visitor.sign_in(server.key)
        expect(visitor.page.get_by_role("heading", name="Tasks")).to_be_visible()
        return visitor.context.storage_state()


@pytest.fixture
def visitor(browser: Browser, server: Server, signed_in: Any) -> Iterator[Visitor]:
    """Signed in as the administrator; whatever a page complains of fails the test."""
    with visiting(browser, server.url, storage_state=signed_in) as visitor:
        visitor.go("/ui/")
        yield visitor
        assert visitor.complaints == []


@pytest.fixture
def api(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def picture(width: int = 320, height: int = 200) -> bytes:
    made = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(made, "png")
    return made.getvalue()


def upload(api: httpx.Client, name: str, body: bytes, mime: str = "image/png") -> str:
    return str(api.post("/mill/files", files={"file": (name, body, mime)}).raise_for_status().json()["id"])


def start(api: httpx.Client, kind: str, *, wait_s: float = 0, **body: Any) -> dict[str, Any]:
    answer = api.post("/mill/tasks", json={"kind": kind, **body}, params={"wait": wait_s} if wait_s else {})
    made: dict[str, Any] = answer.raise_for_status().json()
    return made


def convert(api: httpx.Client, name: str, body: bytes, **options: Any) -> dict[str, Any]:
    inputs = [{"file": upload(api, name, body)}]
    return start(api, "convert", wait_s=30, inputs=inputs, options=options)


def far_off(api: httpx.Client) -> dict[str, Any]:
    return start(api, "ping", not_before="2100-01-01T00:00:00Z")


def row(page: Page, task: dict[str, Any]) -> Any:
    return page.locator(f"tr#{task['id']}")


@contextlib.contextmanager
def session_of(server: Server) -> Iterator[httpx.Client]:
    """A client with the session cookie of the administrator, that asks as a page of the server does."""
    with httpx.Client(base_url=server.url, headers={"origin": server.url}, timeout=30) as client:
        assert client.post("/ui/login", data={"key": server.key}).status_code == 303
        yield client


# --- coming in and going out


def test_a_wrong_key_stays_outside(browser: Browser, server: Server) -> None:
    with visiting(browser, server.url) as visitor:
        page = visitor.sign_in("mill_nobodys")

        expect(page.get_by_role("alert")).to_have_text("The key is not known.")
        visitor.go("/ui/files")
        assert page.url.endswith("/ui/login?next=%2Fui%2Ffiles")


def test_signing_in_leads_to_the_page_that_was_asked_for(browser: Browser, server: Server) -> None:
    with visiting(browser, server.url) as visitor:
        page = visitor.go("/ui/files?x=1")
        page.get_by_label("Key").fill(server.key)
        page.get_by_role("button", name="Sign in").click()

        expect(page.get_by_role("heading", name="Files")).to_be_visible()
        assert page.url == f"{server.url}/ui/files?x=1"


def test_the_cookie_is_strict_and_hidden_from_scripts_and_holds_no_key(visitor: Visitor, server: Server) -> None:
    [cookie] = [c for c in visitor.context.cookies() if c["name"] == "mediamill_session"]

    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/ui")
    assert server.key not in cookie["value"]


def test_a_forged_cookie_is_no_session(server: Server) -> None:
    with session_of(server) as client:
        good = client.cookies["mediamill_session"]
        key_id, expires, signature = good.split(".")
        client.cookies.clear()

        for forged in (f"kother.{expires}.{signature}", f"{key_id}.{int(expires) + 9}.{signature}", f"{key_id}..", ""):
            answer = client.get("/ui/", headers={"cookie": f"mediamill_session={forged}"})
            assert answer.status_code == 303, forged


def test_signing_out_ends_it(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Sign out").click()

    visitor.go("/ui/")
    expect(visitor.page.get_by_label("Key")).to_be_visible()


def test_a_link_on_another_site_finds_the_session(visitor: Visitor, server: Server) -> None:
    visitor.context.route("https://elsewhere.example/", lambda route: route.fulfill(
        body=f'<a href="{server.url}/ui/files">there</a>', content_type="text/html"))  # fmt: skip
    visitor.page.goto("https://elsewhere.example/")

    visitor.page.get_by_role("link", name="there").click()

    expect(visitor.page.get_by_role("heading", name="Files")).to_be_visible()


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "https://elsewhere.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
     {"sec-fetch-site": "same-site"}],
    ids=lambda headers: str(headers),
)  # fmt: skip
def test_changes_are_taken_from_our_own_pages_only(server: Server, api: httpx.Client, headers: dict[str, str]) -> None:
    task = far_off(api)
    with session_of(server) as client:
        del client.headers["origin"]

        for path in (f"tasks/{task['id']}/cancel", "new", "files", "keys", "logout", "login", "theme"):
            assert client.post(f"/ui/{path}", headers=headers).status_code == 403, path

    assert api.get(f"/mill/tasks/{task['id']}").json()["state"] == "delayed"


def test_an_error_is_a_page_that_leads_on(server: Server) -> None:
    with session_of(server) as client:
        answer = client.get("/ui/tasks/<b>none")

    assert answer.status_code == 404
    assert "No task &#39;&lt;b&gt;none&#39;." in answer.text
    assert 'href="/ui/files"' in answer.text


def test_addresses_made_by_hand_lead_on(server: Server) -> None:
    with session_of(server) as client:
        shortened, unknown = client.get("/ui/tasks"), client.get("/ui/nowhere")

    assert (shortened.status_code, shortened.headers["location"]) == (303, "/ui/")
    assert (unknown.status_code, "There is no page at this address." in unknown.text) == (404, True)


def test_every_answer_carries_the_security_headers(server: Server) -> None:
    with session_of(server) as client:
        for path in (*PAGES, "/ui/login", "/ui/nowhere", "/ui/tasks/tnone"):
            headers = client.get(path).headers
            assert "default-src 'self'" in headers["content-security-policy"], path
            assert "unsafe" not in headers["content-security-policy"], path
            assert headers["x-frame-options"] == "DENY"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cache-control"] == "no-store"


def test_static_files_are_kept_for_ever_and_revalidate(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        found = re.findall(r'"(/ui/static/[^"]+)"', client.get("/ui/login").text)
        assert {path.rsplit(".", 1)[1] for path in found} == {"css", "js", "svg"}

        for path in found:
            first = client.get(path)
            assert "immutable" in first.headers["cache-control"]
            assert client.get(path, headers={"if-none-match": first.headers["etag"]}).status_code == 304


# --- tasks


def test_new_tasks_come_on_top_and_end_in_place(visitor: Visitor, api: httpx.Client) -> None:
    expect(visitor.page.locator("[data-live-state]")).to_have_text("live")

    task = convert(api, "live one.png", picture(), format="webp")

    expect(visitor.page.locator("table.tasks tbody tr").first).to_have_id(task["id"])
    expect(row(visitor.page, task)).to_contain_text("succeeded")
    expect(row(visitor.page, task)).to_contain_text("→ webp")


def test_what_happens_while_the_page_comes_up_is_shown(visitor: Visitor, api: httpx.Client) -> None:
    early, late = far_off(api), []

    def meanwhile(route: Route) -> None:
        api.post(f"/mill/tasks/{early['id']}/cancel").raise_for_status()
        late.append(far_off(api))
        route.continue_()

    visitor.page.route("**/ui/events*", meanwhile, times=1)
    visitor.go("/ui/")

    expect(row(visitor.page, early)).to_contain_text("cancelled")
    expect(row(visitor.page, late[0])).to_contain_text("delayed")


def test_a_hostile_name_stays_text_in_a_live_row(visitor: Visitor, api: httpx.Client) -> None:
    expect(visitor.page.locator("[data-live-state]")).to_have_text("live")
    url = "https://nowhere.invalid/<img src=x onerror=alert(1)>"

    task = start(api, "ingest", inputs=[{"url": url.replace(" ", "%20")}], not_before="2100-01-01T00:00:00Z")

    expect(row(visitor.page, task).get_by_role("link")).to_contain_text("<img")
    assert row(visitor.page, task).locator("img").count() == 0


def test_another_projects_tasks_are_neither_shown_nor_told(visitor: Visitor, api: httpx.Client, server: Server) -> None:
    other = api.post("/mill/keys", json={"name": "other", "project_id": "other"}).json()["secret"]
    expect(visitor.page.locator("[data-live-state]")).to_have_text("live")
    with httpx.Client(base_url=server.url, headers={"x-api-key": other}) as others:
        theirs = far_off(others)

    ours = far_off(api)

    expect(row(visitor.page, ours)).to_be_visible()
    assert row(visitor.page, theirs).count() == 0
    assert visitor.page.request.get(f"{server.url}/ui/tasks/{theirs['id']}").status == 404


def test_cancel_and_retry_from_the_table_by_keyboard(visitor: Visitor, api: httpx.Client) -> None:
    task = far_off(api)
    visitor.go("/ui/?state=delayed")

    row(visitor.page, task).get_by_role("button").focus()
    visitor.page.keyboard.press("Enter")

    expect(row(visitor.page, task)).to_contain_text("cancelled")
    row(visitor.page, task).get_by_role("button", name="Retry").press("Enter")

    def newest() -> Any:
        return api.get("/mill/tasks", params={"kind": "ping", "limit": 1}).json()["data"][0]

    until(lambda: newest()["retry_of"] == task["id"], what="the same again")


def test_filters_and_pages_walk_every_task_once(visitor: Visitor, api: httpx.Client) -> None:
    made = {start(api, "ping", metadata={"n": n})["id"] for n in range(105)}

    seen: list[str] = []
    visitor.go("/ui/?kind=ping")
    while True:
        seen += visitor.page.locator("table.tasks tbody tr").evaluate_all("rows => rows.map(row => row.id)")
        older = visitor.page.get_by_role("link", name="Older")
        if not older.count():
            break
        before = visitor.page.url
        older.click()
        expect(visitor.page).not_to_have_url(before)
        visitor.page.wait_for_load_state()

    assert made <= set(seen)
    assert len(seen) == len(set(seen))
    visitor.page.get_by_role("link", name="Newer").click()
    visitor.go("/ui/?q=" + seen[-1])
    assert visitor.page.locator("table.tasks tbody tr").count() == 1


def test_a_filter_that_fits_nothing_says_so(visitor: Visitor) -> None:
    visitor.go("/ui/?q=nothing-is-called-this")

    expect(visitor.page.get_by_text("No task fits this filter.")).to_be_visible()


def test_a_tasks_page_shows_both_pictures_its_times_and_its_wordings(visitor: Visitor, api: httpx.Client) -> None:
    task = convert(api, "both.png", picture(400, 300), format="webp", resize={"width": 100})
    page = visitor.go(f"/ui/tasks/{task['id']}")

    expect(page.locator(".side img")).to_have_count(2)
    page.wait_for_function("() => [...document.querySelectorAll('.side img')].every(image => image.naturalWidth)")
    widths = page.locator(".side img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert widths == [400, 100]
    expect(page.get_by_text("400 × 300 px")).to_be_visible()
    expect(page.locator("svg.timeline rect.bar-succeeded")).to_have_count(1)
    expect(page.locator("ul.legend em").last).to_have_text("store")
    expect(page.locator("#json-mill")).to_contain_text(f'"id": "{task["id"]}"')
    page.get_by_text("curl", exact=True).click()
    expect(page.locator("#curl-1")).to_contain_text('"resize":{"width":100}')


def test_a_failed_task_says_what_and_where(visitor: Visitor, api: httpx.Client) -> None:
    task = convert(api, "broken.png", picture()[:600], format="jpeg")
    assert task["state"] == "failed"
    page = visitor.go(f"/ui/tasks/{task['id']}")

    expect(page.get_by_role("alert")).to_contain_text(task["error"]["message"])
    expect(page.get_by_role("alert")).to_contain_text(task["error"]["code"])
    expect(page.locator("svg.timeline rect.bar-failed")).to_have_count(1)
    page.get_by_role("button", name="Retry").click()
    page.wait_for_url(re.compile(rf"/ui/tasks/(?!{task['id']})"))
    expect(page.get_by_role("link", name=task["id"])).to_be_visible()


def test_text_is_previewed_and_pdf_served_for_the_viewer(visitor: Visitor, api: httpx.Client, server: Server) -> None:
    inputs = [{"file": upload(api, "note.md", b"# Hello <b>there</b>\n", "text/markdown")}]
    task = start(api, "convert", wait_s=30, inputs=inputs, options={"format": "pdf"})
    page = visitor.go(f"/ui/tasks/{task['id']}")

    expect(page.locator("pre.text")).to_have_text("# Hello <b>there</b>\n")
    answer = page.request.get(f"{server.url}/ui/files/{task['outputs'][0]['file']['id']}/pdf")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("inline")
    assert answer.body().startswith(b"%PDF-")


def test_times_are_the_viewers_with_the_exact_instant_on_hover(
    browser: Browser, server: Server, api: httpx.Client
) -> None:
    task = far_off(api)
    with visiting(browser, server.url, timezone_id="Asia/Tokyo") as visitor:
        visitor.sign_in(server.key)
        visitor.go(f"/ui/tasks/{task['id']}")

        shown = visitor.page.locator("time[datetime='2100-01-01T00:00:00.000000Z']").first
        expect(shown).to_have_text("1 Jan 2100, 09:00:00")
        expect(shown).to_have_attribute("title", "2100-01-01T00:00:00.000000Z")


# --- new tasks


def test_a_dropped_file_becomes_what_its_type_can_become(visitor: Visitor) -> None:
    page = visitor.go("/ui/new?kind=convert")
    page.locator("#pick").set_input_files({"name": "mine.png", "mimeType": "image/png", "buffer": picture(300, 150)})

    expect(page.get_by_role("link", name="mine.png")).to_be_visible()
    offered = page.get_by_label("format").locator("option").all_inner_texts()
    assert "webp" in offered
    assert "mp3" not in offered
    page.get_by_label("format").select_option(label="webp")
    expect(page.get_by_text("settings that do not act on this conversion")).to_be_visible()
    page.get_by_label("resize width").fill("120")
    page.get_by_role("button", name="Start").click()

    expect(page.locator(".state.succeeded").first).to_be_visible()
    expect(page.get_by_text("120 × 60 px")).to_be_visible()
    page.get_by_role("link", name="Ask again, changed").click()
    expect(page.get_by_label("resize width")).to_have_value("120")
    expect(page.get_by_label("format")).to_have_value("image/webp")


def test_what_the_server_refuses_is_said_at_its_field(server: Server, api: httpx.Client) -> None:
    file = upload(api, "f.png", picture())
    with session_of(server) as client:
        answer = client.post("/ui/new", data={"kind": "convert", "file": file, "o.format": "webp", "o.quality": "900"})

    assert answer.status_code == 422
    field = answer.text.split('id="o.quality-help"')[1].split("</p>")[0]
    assert "must be a whole number of at most 100." in html.unescape(field)
    assert 'value="900"' in answer.text


def test_not_before_is_in_the_viewers_zone(browser: Browser, server: Server) -> None:
    with visiting(browser, server.url, timezone_id="Asia/Tokyo") as visitor:
        visitor.sign_in(server.key)
        page = visitor.go("/ui/new?kind=ping")
        page.get_by_text("When and how often").click()
        page.get_by_label("not before").fill("2100-05-01T09:00:00")
        page.get_by_role("button", name="Start").click()

        expect(page.locator("time[datetime='2100-05-01T00:00:00.000000Z']").first).to_be_visible()


# --- files and keys


def test_files_are_uploaded_by_dropping_and_deleted_after_asking(visitor: Visitor, server: Server) -> None:
    page = visitor.go("/ui/files")
    page.evaluate(
        """() => {
            const dropped = new DataTransfer();
            dropped.items.add(new File(["one,two\\n1,2\\n"], "dropped.csv", { type: "text/csv" }));
            const zone = document.querySelector("[data-drop]");
            zone.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
        }"""
    )
    page.get_by_role("link", name="dropped.csv", exact=True).click()
    expect(page.locator("pre.text")).to_have_text("one,two\n1,2\n")
    here = page.url

    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete").click()

    expect(page.get_by_role("heading", name="Files")).to_be_visible()
    assert page.request.get(here).status == 404


def test_a_keys_secret_is_shown_once_and_revoking_ends_its_session(
    visitor: Visitor, browser: Browser, server: Server
) -> None:
    page = visitor.go("/ui/keys")
    page.get_by_label("Name").fill("the shop")
    page.get_by_role("button", name="Create key").click()
    secret = page.locator("#secret").inner_text()
    visitor.go("/ui/keys")
    assert secret not in page.content()

    with visiting(browser, server.url) as member:
        member.sign_in(secret)
        expect(member.page.get_by_label("Main").get_by_role("link", name="Tasks")).to_be_visible()
        assert member.page.get_by_role("link", name="Keys").count() == 0
        assert member.page.request.get(f"{server.url}/ui/keys").status == 403

        shop = page.get_by_role("row", name="the shop")
        shop.locator("summary").click()
        shop.get_by_role("button", name="Revoke").click()
        expect(shop).to_contain_text("revoked")

        member.go("/ui/")
        expect(member.page.get_by_label("Key")).to_be_visible()


# --- for everyone


def test_the_basics_work_without_a_script(browser: Browser, server: Server, api: httpx.Client) -> None:
    task = far_off(api)
    with visiting(browser, server.url, java_script_enabled=False) as visitor:
        page = visitor.sign_in(server.key)
        row(page, task).get_by_role("button", name="Cancel").click()
        expect(row(page, task)).to_contain_text("cancelled")

        visitor.go("/ui/files")
        page.locator("#pick").set_input_files({"name": "plain.png", "mimeType": "image/png", "buffer": picture()})
        page.get_by_role("button", name="Send").click()
        page.get_by_role("link", name="New task with it").click()
        page.get_by_label("format").select_option("image/webp")
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("heading", name="plain.png")).to_be_visible()


def test_the_theme_is_kept(visitor: Visitor) -> None:
    page = visitor.page
    page.get_by_role("button", name="Theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("button", name="Theme")).to_have_attribute("aria-label", re.compile("dark"))

    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 22, 21)"


def test_the_keyboard_reaches_the_content_first(visitor: Visitor) -> None:
    visitor.go("/ui/")
    visitor.page.keyboard.press("Tab")
    expect(visitor.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.press("Tab")

    expect(visitor.page.get_by_label("Within").get_by_role("link").first).to_be_focused()


def test_every_control_has_a_name(visitor: Visitor, api: httpx.Client) -> None:
    file = upload(api, "named.png", picture())
    far_off(api)
    for path in (*PAGES, f"/ui/new?file={file}&o.format=webp", f"/ui/files/{file}"):
        visitor.go(path)
        nameless = visitor.page.evaluate(
            """() => [...document.querySelectorAll("a, button, summary, select, textarea, input:not([type=hidden])")]
                .filter(e => !(e.labels && e.labels.length) && !e.getAttribute("aria-label")
                    && !e.textContent.trim() && !e.querySelector("img[alt]:not([alt=''])"))
                .map(e => e.outerHTML)"""
        )
        assert nameless == [], path


def test_nothing_is_wider_than_a_phone(browser: Browser, server: Server, api: httpx.Client) -> None:
    name = "a rather long name of a file that somebody gave it on a very talkative day.png"
    task = convert(api, name, picture(), format="webp")
    with visiting(browser, server.url, viewport={"width": 360, "height": 740}, has_touch=True) as visitor:
        visitor.sign_in(server.key)
        for path in (*PAGES, f"/ui/tasks/{task['id']}", f"/ui/files/{task['inputs'][0]['file']['id']}"):
            visitor.go(path)
            assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_buttons_of_a_file_lie_on_none_of_its_facts_on_a_phone(
    browser: Browser, server: Server, signed_in: Any, api: httpx.Client
) -> None:
    file = upload(api, "wide.png", picture(1920, 1080))
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "storage_state": signed_in}
    with visiting(browser, server.url, **phone) as visitor:
        row = visitor.go("/ui/files").locator(f"tr#{file}")
        boxes = {part: row.locator(part).bounding_box() for part in (".c-do", ".c-size", ".c-facts", ".c-at")}

        buttons = boxes.pop(".c-do")

        assert buttons is not None
        for part, box in boxes.items():
            assert box is None or box["y"] >= buttons["y"] + buttons["height"], part
