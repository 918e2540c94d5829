"""Bodies of requests as what the service takes. What is wrong is refused by the name the caller used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mediamill import kinds
from mediamill.core.errors import Invalid, MediamillError, NotFound
from mediamill.core.files import safe_name
from mediamill.core.tasks import NewTask, Source
from mediamill.dialects.ittybit import ids
from mediamill.dialects.ittybit.call import Call
from mediamill.dialects.ittybit.errors import Fault, invalid, refused
from mediamill.dialects.ittybit.objects import NAME
from mediamill.dialects.ittybit.query import mapping, text
from mediamill.dialects.ittybit.words import accepted, folded, kind_of

LONGEST_URL = 8192
_SCHEMES = ("http://", "https://", "s3://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A task as a caller writes it, by itself or in a workflow. `source`: None where it names no input of its own."""

    kind: str
    source: Source | None
    options: Mapping[str, Any]
    metadata: Mapping[str, Any] | None
    extra: Mapping[str, Any]
    ref: str | None


def read_item(body: Mapping[str, Any], where: str = "") -> Item:
    """A task item. `where` stands before the names in messages. Raises a 400 Fault."""
    kind = kind_of(body.get("kind"), f"{where}kind")
    options = folded(body, kind, where)
    given = dict(options)
    if kind == "conditions" and "conditions" not in options and "conditions" in body:
        options["conditions"] = given["conditions"] = body["conditions"]
    # Clients with a field for each option send null for those that nobody has set.
    options = {name: _ours(name, value) for name, value in options.items() if value is not None}
    source = read_source(body, where)
    if kind == "ingest":
        inner = options.pop("url", None)
        if source is None and inner is not None:
            source = Source(url=_url(inner, f"{where}options.url"))
    connection = _either(body, options, "connection_id", where, 80)
    destination = _either(body, options, "destination", where, LONGEST_URL)
    if destination is None and isinstance(body.get("output"), str):
        destination = text(body, "output", where=where, most=LONGEST_URL)
    if kind == "upload" and destination is None:
        destination = text(options, "url", where=f"{where}options.", most=LONGEST_URL)
        options.pop("url", None)
    if destination is not None and not destination.lower().startswith("s3://"):
        raise invalid(f"{where}destination must be an s3:// URL.")
    connection = ids.read("connection", connection) if connection else None
    if source is not None and source.url is not None:
        source = replace(source, connection=connection)
    name = _either(body, options, "filename", where, 255) if kind == "ingest" else text(body, "filename", where=where)
    webhook = text(body, "webhook_url", where=where, most=LONGEST_URL)
    if webhook is not None:
        secure(webhook, f"{where}webhook_url")
    ref = text(body, "ref", where=where, most=255)
    named = (("filename", safe_name(name) if name else None), ("folder", folder(body, where)), ("ref", ref))
    extra: dict[str, Any] = {"options": given}
    extra["media"] = {key: value for key, value in named if value is not None}
    if kind == "upload":
        if destination is None:
            raise invalid(f"{where}options.destination is required: an s3:// URL.")
        options["destination"] = destination
        if connection is not None:
            options["connection"] = connection
    elif destination is not None:
        extra["destination"] = {"url": destination, "connection": connection}
    if webhook is not None:
        extra["webhook_url"] = webhook
    if body.get("reuse") is False:  # not of the published API: make it anew though the same was made before
        extra["reuse"] = False
    return Item(
        kind=kind,
        source=source,
        options=options,
        metadata=mapping(body, "metadata", where=where),
        extra=extra,
        ref=ref,
    )


def new_task(item: Item, *, profile: str, origin: str | None = None, idempotency_key: str | None = None) -> NewTask:
    """The item as the service takes it. `origin`: of the links in a webhook that tells of its end."""
    return NewTask(
        kind=item.kind,
        inputs=[item.source] if item.source else [],
        options=item.options,
        dialect=NAME,
        extra={
            **item.extra,
            "profile": profile,
            **({"webhook_origin": origin} if origin else {}),
        },
        metadata=item.metadata,
        idempotency_key=idempotency_key,
    )


def read_source(body: Mapping[str, Any], where: str = "") -> Source | None:
    """The input that url, file_id or input name; None where none of them is there. Raises a Fault."""
    given = [name for name in ("url", "file_id", "input") if body.get(name) is not None]
    if not given:
        return None
    if len(given) > 1:
        raise invalid(f"{where}{given[0]} and {where}{given[1]} must not be given together.")
    [name] = given
    value = body[name]
    if name == "file_id":
        if not isinstance(value, str):
            raise invalid(f"{where}file_id must be a string.")
        try:
            return Source(file=ids.read("file", value))
        except NotFound:
            raise Fault(404, "file_not_found", f"{where}file_id: there is no file {value[:80]!r}.") from None
    if name == "input" and isinstance(value, dict):
        name, value = "input.url", value.get("url")
        if value is None:
            raise Fault(400, "url_required", f"{where}input.url is missing.")
    return Source(url=_url(value, f"{where}{name}"))


def _ours(name: str, value: Any) -> Any:
    """An option with the ids of files in it read: those that stand under `file` or a name that ends so."""
    if isinstance(value, str) and (name == "file" or name.endswith("_file")) and value.startswith("file_"):
        try:
            return ids.read("file", value)
        except NotFound:
            raise Fault(404, "file_not_found", f"{name}: there is no file {value[:80]!r}.") from None
    if isinstance(value, dict):
        return {inner: _ours(inner, one) for inner, one in value.items()}
    if isinstance(value, list):
        return [_ours(name, one) for one in value]
    return value


def _either(body: Mapping[str, Any], options: dict[str, Any], name: str, where: str, most: int) -> str | None:
    """What stands beside the options, or else inside them; there it is taken out."""
    inner = text(options, name, where=f"{where}options.", most=most)
    options.pop(name, None)
    return text(body, name, where=where, most=most) or inner


def _url(value: Any, name: str) -> str:
    if isinstance(value, str) and value == "":
        raise Fault(400, "url_required", f"{name} must not be empty.")
    if not isinstance(value, str) or len(value) > LONGEST_URL or not value.lower().startswith(_SCHEMES):
        raise invalid(f"{name} must be an http://, https:// or s3:// URL.")
    return value


def folder(body: Mapping[str, Any], where: str = "") -> str | None:
    """The folder a file is to be found in, without slashes at its ends. Raises a 400 Fault."""
    found = text(body, "folder", where=where, most=512)
    if found is None:
        return None
    parts = [part for part in found.split("/") if part]
    if not parts or any(part in (".", "..") or not part.isprintable() or "\\" in part for part in parts):
        raise invalid(f"{where}folder must be names joined by slashes.")
    return "/".join(parts)


def named(error: Invalid, kind: str) -> Invalid:
    """The refusal of an option with the words it takes, where it takes words and the reason does not say them."""
    field = error.field.rsplit("options.", 1)[-1]
    words = accepted(kind, field) if "options." in error.field else []
    if not words or all(word in error.reason for word in words):
        return error
    return Invalid(error.field, f"{error.reason.rstrip('.')}; it must be one of {', '.join(words)}.")


def told(error: MediamillError, item: Mapping[str, Any], read: Item) -> MediamillError:
    """What the service refused of a task, in the caller's words."""
    if isinstance(error, Invalid) and type(error) is Invalid:
        error = named(attached(error, read.kind, read.options, 1 if read.source else 0), read.kind)
        if error.field == "destination.url":
            error = Invalid("destination", error.reason)
    if isinstance(error, NotFound) and error.noun == "connection":
        return Fault(404, "connection_not_found", "connection_id: there is no such connection.")
    if isinstance(error, NotFound) and error.noun == "file":
        return Fault(404, "file_not_found", f"file_id: there is no file {item.get('file_id')!r}.")
    if isinstance(error, Invalid) and not isinstance(error, Fault):
        field = error.field.rsplit("options.", 1)[-1]
        options = item.get("options")
        value = options.get("format") if isinstance(options, dict) else None
        if field == "format" and isinstance(item.get("format") if value is None else value, str):
            return Fault(400, "format_unsupported", f"format: {error.reason}")
        if error.field.startswith("inputs") and error.field.count(".") == 0:
            return Fault(400, "url_required", "One of url, file_id and input is required.")
    return refused(error)


def secure(url: str, name: str) -> str:
    """Raises a 400 Fault for http:// to a public host: what it tells would be read on the way."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise invalid(f"{name} must be an https:// URL.") from None
    if parts.scheme.lower() == "https":
        return url
    if parts.scheme.lower() != "http" or not _local(host):
        raise invalid(f"{name} must be an https:// URL; http:// is for private addresses that the operator allows.")
    return url


def _local(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def attached(error: Invalid, kind: str, options: Mapping[str, Any], own: int) -> Invalid:
    """The refusal of a source that options name, by its place in them. own: how many inputs come before those."""
    parts = error.field.split(".")
    known = kinds.load().get(kind)
    if known is None or len(parts) < 3 or parts[-3] != "inputs" or not parts[-2].isdigit() or int(parts[-2]) < own:
        return error
    sources = known.attachments(msgspec.convert(dict(options), known.options))
    number = int(parts[-2]) - own
    place = _place_of(sources[number].url, options) if number < len(sources) else None
    return Invalid(f"options.{place}", error.reason) if place else error


def _place_of(value: str | None, within: Any, path: str = "") -> str | None:
    if isinstance(within, str):
        return path if within == value else None
    entries = within.items() if isinstance(within, Mapping) else enumerate(within) if isinstance(within, list) else ()
    for name, inner in entries:
        if (found := _place_of(value, inner, f"{path}.{name}" if path else str(name))) is not None:
            return found
    return None


def key_of(call: Call) -> str | None:
    """The idempotency key, bound to the path it was sent to."""
    key = call.headers.get("idempotency-key")
    return f"{call.path} {key}" if key is not None else None
