"""Pages and what they are made of: templates, words for values, static files, headers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from litestar import Request, Response
from litestar.datastructures import State as AppState

from mediamill.core.access import Caller
from mediamill.core.media import Facts
from mediamill.core.prompts import KIND as PROMPT
from mediamill.core.tasks import State, Task

Req = Request[Any, Any, AppState]
Page = Response[bytes]

_HERE = Path(__file__).parent
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
THEMES = ("auto", "light", "dark")
THEME_COOKIE = "mediamill_theme"

# No inline script or style, nothing from elsewhere. object-src is for the browser's own PDF viewer.
POLICY = "default-src 'self'; object-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file, read once; its address carries the digest of its bytes, so it may be kept for ever."""

    body: bytes
    mime: str
    digest: str


class Renderer:
    """Makes pages. One for the app; templates are compiled on first use."""

    def __init__(self) -> None:
        self.assets = {path.name: _asset(path) for path in sorted((_HERE / "static").iterdir())}
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(asset=self.asset, State=State, themes=THEMES, fact_of=fact, facts_of=facts)
        self._templates.filters.update(
            size=size, span=span, utc=utc, stamp=stamp, label=label, pretty=pretty, seconds=seconds_of
        )

    def add(self, **filters: Any) -> None:
        """Words that belong to one page's module, for all templates."""
        self._templates.filters.update(filters)

    def asset(self, name: str) -> str:
        """The address of a static file."""
        return f"/ui/static/{self.assets[name].digest}/{name}"

    def page(
        self, request: Req, template: str, *, caller: Caller | None = None, status: int = 200, **values: Any
    ) -> Page:
        """A whole page. `caller` None is for pages before signing in."""
        theme = request.cookies.get(THEME_COOKIE, "auto")
        path = request.scope["path"]
        query = request.scope["query_string"].decode("latin-1")
        text = self._templates.get_template(template).render(
            caller=caller,
            theme=theme if theme in THEMES else "auto",
            here=f"{path}?{query}" if query else path,
            section=path.removeprefix("/ui").strip("/").split("/")[0] or "tasks",
            now=datetime.now(UTC),
            **values,
        )
        return Response(text.encode(), status_code=status, media_type="text/html")

    def piece(self, template: str, macro: str, *arguments: Any) -> str:
        """What one macro of a template makes, for the parts of a page that change while it is looked at."""
        return str(getattr(self._templates.get_template(template).module, macro)(*arguments))


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body=body, mime=_TYPES[path.suffix], digest=hashlib.sha256(body).hexdigest()[:16])


# --- words for values -----------------------------------------------------------------------------------------------


def size(count: int) -> str:
    """1536 -> "1.5 KiB"."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"


def span(seconds: float) -> str:
    """0.042 -> "42 ms", 75 -> "1 min 15 s"."""
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def utc(at: datetime) -> str:
    """For people without a script: seconds, and the zone."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def stamp(at: datetime) -> str:
    """RFC 3339 with microseconds, for machines and for the exact time on hover."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def seconds_of(task: Task, now: datetime) -> float | None:
    """How long the task has run, or ran."""
    if task.started_at is None:
        return None
    return ((task.finished_at or now) - task.started_at).total_seconds()


_ORDER = {name: n for n, name in enumerate(f.name for f in dataclasses.fields(Facts))}
_UNITS = {"_px": " px", "_bps": " bit/s", "_hz": " Hz"}


def fact(name: str, value: Any) -> tuple[str, str]:
    """("duration_s", 75) -> ("duration", "1 min 15 s")."""
    if name.endswith("_s") and isinstance(value, int | float):
        return name[:-2].replace("_", " "), span(float(value))
    if name.endswith("_bytes") and isinstance(value, int):
        return name[:-6].replace("_", " "), size(value)
    for suffix, unit in _UNITS.items():
        if name.endswith(suffix):
            shown = f"{value:,}".replace(",", "\u202f") if isinstance(value, int) and value >= 10_000 else str(value)
            return name.removesuffix(suffix).replace("_", " "), shown + unit
    if isinstance(value, bool):
        value = "yes" if value else "no"
    elif isinstance(value, float):
        value = f"{value:.6g}"
    elif isinstance(value, list | dict):
        value = ", ".join(map(str, value)) if isinstance(value, list) else json.dumps(value)
    return name.replace("_", " "), str(value)


def facts(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All facts in words, in the order people ask for them; width and height as one."""
    found = []
    for name in sorted(known, key=lambda name: _ORDER.get(name, len(_ORDER))):
        if name == "width_px" and "height_px" in known:
            found.append(("dimensions", f"{known['width_px']} × {known['height_px']} px"))
        elif name != "height_px" or "width_px" not in known:
            found.append(fact(name, known[name]))
    return found


def label(task: Task) -> str:
    """What people know a task by: its input's name, else its address; a prompt's first line; else nothing."""
    prompt = task.options.get("prompt") if task.kind == PROMPT else None
    if isinstance(prompt, str):
        return prompt.strip().split("\n", 1)[0][:160]
    for source in task.inputs:
        if source.file is not None:
            return source.file.filename
    for source in task.inputs:
        if source.url is not None:
            return source.url
    return ""


def pretty(value: Any) -> str:
    """A value as JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
