"""The form of a schedule: what it holds, read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from mediamill.core.errors import Invalid
from mediamill.core.prompts import read_ttl
from mediamill.core.schedules import Schedule

_TEXTS = ("title", "prompt", "cron", "zone", "identifier", "overlap", "missed")
_OPTIONAL = ("model", "external_id", "dedup_key")
_WHOLE = ("max_attempts", "max_steps", "max_tokens", "priority")
_NUMBERS = ("max_cost_cents", "max_duration_s")
EXAMPLES = ("0 * * * *", "30 8 * * *", "0 9 * * MON-FRI", "0 7 * * MON", "0 6 1 * *", "*/15 * * * *")
"""Rules to begin with."""
FRESH: Mapping[str, str] = {
    "zone": "UTC",
    "identifier": "prompt",
    "overlap": "queue",
    "enabled": "yes",
}


def values_of(schedule: Schedule) -> dict[str, str]:
    """A schedule as the form shows it."""
    values = {name: getattr(schedule, name) or "" for name in (*_TEXTS, *_OPTIONAL)}
    values["missed_limit"] = str(schedule.missed_limit)
    values["enabled"] = "yes" if schedule.active else "no"
    settings = schedule.settings
    for name in (*_WHOLE, *_NUMBERS):
        if settings.get(name) is not None:
            values[name] = f"{settings[name]:.12g}"
    if settings.get("ttl_s"):
        values["ttl"] = f"{settings['ttl_s']:.12g}"
    values["tags"] = ", ".join(settings.get("tags") or ())
    if settings.get("metadata"):
        values["metadata"] = json.dumps(settings["metadata"], indent=2, ensure_ascii=False)
    return values


def read_values(values: Mapping[str, str]) -> dict[str, Any]:
    """What the form asks for, in the core's names. Raises Invalid with the field's name on the form."""
    given: dict[str, Any] = {name: values.get(name, "").strip() for name in _TEXTS}
    given["prompt"] = values.get("prompt", "").replace("\r\n", "\n").strip()
    if not given["prompt"]:
        raise Invalid("prompt", "must not be empty.")
    given |= {name: values.get(name, "").strip() or None for name in _OPTIONAL}
    given["missed_limit"] = _whole(values, "missed_limit") or 100
    settings: dict[str, Any] = {name: _whole(values, name) for name in _WHOLE}
    settings |= {name: _number(values, name) for name in _NUMBERS}
    settings["ttl_s"] = _ttl(values)
    settings["tags"] = [tag.strip() for tag in values.get("tags", "").split(",") if tag.strip()]
    settings["metadata"] = _metadata(values)
    given["settings"] = {name: value for name, value in settings.items() if value not in (None, [])}
    return given


def field_of(error: Invalid) -> str:
    """The control that a refusal is about."""
    word = error.field.removeprefix("settings.").split(".")[0]
    return {"timezone": "zone", "ttl_s": "ttl"}.get(word, word)


def _whole(values: Mapping[str, str], name: str) -> int | None:
    text = values.get(name, "").strip()
    try:
        return int(text) if text else None
    except ValueError:
        raise Invalid(name, "must be a whole number.") from None


def _number(values: Mapping[str, str], name: str) -> float | None:
    text = values.get(name, "").strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise Invalid(name, "must be a number.") from None


def _ttl(values: Mapping[str, str]) -> float | None:
    text = values.get("ttl", "").strip()
    try:
        return read_ttl(float(text) if text.replace(".", "", 1).isdecimal() else text or None)
    except Invalid as error:
        raise Invalid("ttl", error.reason) from None


def _metadata(values: Mapping[str, str]) -> dict[str, Any] | None:
    text = values.get("metadata", "").strip()
    if not text:
        return None
    try:
        found = msgspec.json.decode(text)  # it takes neither NaN nor numbers without bounds
    except (ValueError, RecursionError):
        raise Invalid("metadata", "must be JSON.") from None
    if not isinstance(found, dict):
        raise Invalid("metadata", "must be a JSON object.")
    return found
