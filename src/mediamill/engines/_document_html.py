"""HTML made well-formed and passive: tags closed where a browser would, scripts, frames and outside pictures out."""

from __future__ import annotations

from collections.abc import Set
from html import escape
from html.parser import HTMLParser

VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
DROPPED = frozenset(
    (
        *("script", "style", "iframe", "object", "embed", "applet", "frame", "frameset", "noscript", "template"),
        *("link", "base", "param"),
        # Pandoc has nothing to make of these, and within some elements refuses the whole document for them.
        *("button", "video", "audio", "source", "track", "map", "area", "progress"),
    )
)
SILENT = frozenset(["script", "style", "iframe", "object", "applet", "frameset", "noscript", "template"])
"""Dropped with all that stands inside."""
FRAGILE = frozenset(["q", "kbd", "mark", "ins", "del"])
"""With a block inside, pandoc refuses the whole document for one of these."""
CLOSES = {
    "td": {"td", "th"},
    "th": {"td", "th"},
    "tr": {"td", "th", "tr"},
    "tbody": {"td", "th", "tr", "thead", "tbody", "colgroup"},
    "tfoot": {"td", "th", "tr", "thead", "tbody", "colgroup"},
    "thead": {"colgroup", "caption"},
    "li": {"li", "p"},
    "dt": {"dt", "dd", "p"},
    "dd": {"dt", "dd", "p"},
    "option": {"option"},
}
CLOSE_P = frozenset(
    (
        *("address", "article", "aside", "blockquote", "div", "dl", "fieldset", "footer", "form", "h1", "h2", "h3"),
        *("h4", "h5", "h6", "header", "hr", "main", "nav", "ol", "p", "pre", "section", "table", "ul"),
    )
)
WALLS = frozenset({"table", "ul", "ol", "dl", "blockquote", "div", "section", "article", "body"})
"""Elements an implied close does not reach through."""
MAX_DEPTH = 400


class _Tidy(HTMLParser):
    def __init__(self, dropped: Set[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.dropped = dropped
        self.out: list[str] = []
        self.open: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SILENT:
            self.silent += 1
        if self.silent or tag in self.dropped:
            return
        self._imply(tag)
        if len(self.open) >= MAX_DEPTH and tag not in VOID:
            return
        kept = "".join(f' {name}="{escape(value or "")}"' for name, value in attrs if _harmless(tag, name, value or ""))
        if tag == "img" and " src=" not in kept:  # pandoc refuses that, too
            self.out.append(f"<em>{escape(dict(attrs).get('alt') or '')}</em>")
            return
        self.out.append(f"<{tag}{kept}>")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self.silent = max(0, self.silent - 1)
            return
        if self.silent or tag in VOID or tag not in self.open:
            return
        while self.open:
            last = self.open.pop()
            self.out.append(f"</{last}>")
            if last == tag:
                return

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.out.append(escape(data, quote=False))

    def _imply(self, tag: str) -> None:
        closing = CLOSES.get(tag, set()) | ({"p"} if tag in CLOSE_P else set())
        while closing:
            for depth in range(len(self.open) - 1, -1, -1):
                if self.open[depth] in closing:
                    self.handle_endtag(self.open[depth])
                    break
                if self.open[depth] in WALLS:
                    return
            else:
                return

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Browsers take `<![` with an unknown word for a comment; the library raises what no reader should."""
        try:
            return super().parse_marked_section(i, report)
        except AssertionError:
            return self.parse_bogus_comment(i)

    def done(self) -> str:
        self.close()
        while self.open:
            self.out.append(f"</{self.open.pop()}>")
        return "".join(self.out)


def _harmless(tag: str, name: str, value: str) -> bool:
    if name.startswith("on") or not name.replace("-", "").replace(":", "").isalnum():
        return False
    if name in ("src", "data", "poster", "srcset", "background"):
        return tag == "img" and name == "src" and value.startswith("data:")
    return not (name == "href" and value.strip().lower().startswith(("javascript:", "file:", "data:", "vbscript:")))


def tidy(html: str, *, fewer: bool = False) -> str:
    """`html` again, for a reader that wants every tag closed. `fewer`: without the elements that are FRAGILE."""
    parser = _Tidy(DROPPED | FRAGILE if fewer else DROPPED)
    parser.feed(html)
    return "<!DOCTYPE html>" + parser.done()
