"""Which media types a request may send and ask for: JSON:API 1.1, "Content Negotiation", servers' part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mediamill.dialects.turbofiles.errors import MEDIA_TYPE, Fault


def check(headers: Mapping[str, str], *, takes_body: bool) -> None:
    """Raises a 415 or 406 Fault for what the standard forbids. Header names are lower case."""
    _check_content(headers.get("content-type"), takes_body)
    if (accept := headers.get("accept", "").strip()) and not _acceptable(accept):
        raise Fault(406, "not_acceptable", f"This API answers in {MEDIA_TYPE} without parameters.", header="Accept")


def mentions(value: str | None) -> bool:
    """Whether a header value names the JSON:API type."""
    return value is not None and MEDIA_TYPE in value.lower()


def _check_content(value: str | None, takes_body: bool) -> None:
    kind, parameters = _media_range(value) if value else ("", {})
    if kind != MEDIA_TYPE:
        if takes_body:
            raise Fault(415, "unsupported_media_type", f"Bodies must be {MEDIA_TYPE}.", header="Content-Type")
        return
    if not set(parameters) <= {"profile"}:
        what = "No extension is supported." if "ext" in parameters else "Only a profile parameter may be given."
        raise Fault(415, "unsupported_media_type", f"{MEDIA_TYPE}: {what}", header="Content-Type")


def _acceptable(value: str) -> bool:
    instances, others = [], []
    for part in _split(value, ","):
        kind, parameters = _media_range(part)
        wanted = parameters.pop("q", "1").rstrip("0").rstrip(".") != ""  # q=0, q=0.000: "not this one"
        if kind == MEDIA_TYPE:
            instances.append(wanted and set(parameters) <= {"profile"})
        elif kind:
            others.append(wanted and kind in ("*/*", "application/*"))
    return any(instances) if instances else any(others)


def _media_range(text: str) -> tuple[str, dict[str, str]]:
    """(type, parameters), names in lower case."""
    kind, *rest = _split(text, ";")
    parameters = {}
    for part in rest:
        name, _, value = part.partition("=")
        if name.strip():
            parameters[name.strip().lower()] = value.strip().strip('"')
    return kind.strip().lower(), parameters


def _split(text: str, mark: str) -> Iterator[str]:
    """The pieces between marks that are not inside a quoted string (RFC 9110 5.6.4)."""
    start, quoted, escaped = 0, False, False
    for at, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and letter == "\\":
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif letter == mark and not quoted:
            yield text[start:at]
            start = at + 1
    yield text[start:]
