"""/v1/capabilities: every word of this API, and whether this server does what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mediamill import kinds
from mediamill.core import composition_ops, compositions, looks
from mediamill.core.compositions import ELEMENT_TYPES, ELEMENTS, FORMATS, MAX_DURATION_S, MAX_ELEMENTS, REQUEST
from mediamill.core.ports import Engines
from mediamill.dialects import Site
from mediamill.dialects.framelane import jobs, tasks, uploads
from mediamill.dialects.framelane.call import Call, Json, Reply, Route
from mediamill.dialects.framelane.events import EVENTS

FONTS = ("Inter", "Noto Sans", "Noto Color Emoji")
SCOPES = ("element", "character")
PREVIEWS = ("frame", "window", "contact_sheet")
_OF_TEXT = ("font_style", "text_align", "text_decoration", "text_wrap")
_SCRIPTS = "Other scripts are drawn with Noto fonts of this server, whatever family is asked for."


def describe(site: Site) -> Json:
    """The document. It is the same for everybody."""
    engines = site.engines
    draws = _on(engines, jobs.RENDER)
    limits = {name: [field.low, field.high] for name, field in REQUEST.items() if field.low is not None}
    return {
        "api_version": "v1",
        "effects": _words(looks.EFFECTS, looks.SUPPORTED_EFFECTS, draws),
        "motions": [_motion(name, motion, draws) for name, motion in looks.MOTIONS.items()],
        "transitions": _words(looks.TRANSITIONS, looks.SUPPORTED_TRANSITIONS, draws),
        "blend_modes": _words(looks.BLEND_MODES, looks.SUPPORTED_BLEND_MODES, draws),
        "easings": _words(looks.EASINGS, looks.EASINGS, draws),
        "motion_scopes": _words(SCOPES, SCOPES, draws),
        **{
            f"{name}s": _words(ELEMENTS["text"][name].choices, ELEMENTS["text"][name].choices, draws)
            for name in _OF_TEXT
        },
        "word_animation_styles": _words(looks.CAPTION_STYLES, looks.CAPTION_STYLES, draws),
        "output_formats": _words(FORMATS, FORMATS, draws),
        "input_formats": {
            family: sorted({ending for mime, ending in uploads.TYPES.items() if mime.startswith(f"{family}/")})
            for family in ("video", "audio", "image", "font")
        },
        "element_types": [
            *_words(ELEMENT_TYPES, ELEMENTS, draws),
            *({"type": "composition", "supported": False} for _ in range("composition" not in ELEMENT_TYPES)),
        ],
        "element_fields": _words(compositions.UNSUPPORTED_FIELDS, (), draws),
        "tasks": [_task(kind, path, engines) for kind, path in jobs.TYPES.items()],
        "project_ops": _words(composition_ops.OPS, composition_ops.OPS, True),
        "preview_modes": _words(PREVIEWS, PREVIEWS, _on(engines, "preview")),
        "violations": _words(compositions.VIOLATIONS, compositions.VIOLATIONS, True),
        "webhook_events": _words(EVENTS, EVENTS, True),
        "statuses": _words(jobs.STATUSES, jobs.STATUSES, True),
        "progress_stages": _words(jobs.STAGES, jobs.STAGES, True),
        "upload_types": _words(uploads.TYPES, uploads.TYPES, True),
        "fonts": [{"family": name, "supported": True} for name in FONTS],
        "fonts_note": _SCRIPTS,
        "limits": {
            **limits,
            "elements": [0, MAX_ELEMENTS],
            "duration": [0, MAX_DURATION_S],
            "list_limit": [1, jobs.MOST_LISTED],
            "max_source_bytes": min(site.settings.framelane_max_bytes, site.settings.max_fetch_bytes),
            "wait_seconds": jobs.LONGEST_WAIT_S,
        },
        "rate_limits": _rates(site),
        "auth": {"scheme": "bearer"},
        "onboarding": {"steps": _steps(site)},
    }


def _words(names: Iterable[str], supported: Any, draws: bool) -> list[Json]:
    return [{"type": name, "supported": draws and name in supported} for name in names]


def _motion(name: str, motion: looks.Motion, draws: bool) -> Json:
    return {
        "type": name,
        "supported": draws and name in looks.SUPPORTED_MOTIONS,
        "entrance": motion.entrance,
        "exit": motion.exit,
        "loop": "loop" in motion.element,
        "window": "whole" in motion.element,
        "scopes": list(motion.scopes),
    }


def _on(engines: Engines, kind: str) -> bool:
    found = kinds.load().get(kind)
    return found is not None and found.missing(engines) is None


def _task(kind: str, path: str, engines: Engines) -> Json:
    found = kinds.load()[kind]
    missing = found.missing(engines)
    params = _params(kind, found)
    shown: Json = {"type": kind, "path": f"/v1/tasks/{path}", "supported": missing is None, "params": params}
    return shown if missing is None else {**shown, "reason": f"{missing.reason} {missing.remedy}"}


def _params(kind: str, found: Any) -> Json:
    """The fields of a request with their types and bounds, out of the options' own schema."""
    (schema,), parts = msgspec.json.schema_components((found.options,), ref_template="#/{name}")
    own = parts[schema["$ref"].rpartition("/")[2]]["properties"] if "$ref" in schema else schema["properties"]
    names = tasks.fields_of(kind)
    return {names[option]: _param(told) for option, told in own.items() if option in names}


_WORDS = {"minimum": "min", "maximum": "max", "minItems": "min_items", "maxItems": "max_items", "enum": "enum"}


def _param(told: Mapping[str, Any]) -> Json:
    some = next((part for part in told.get("anyOf", ()) if part.get("type") != "null"), told)
    shown: Json = {"type": some.get("type", "string"), "nullable": some is not told}
    shown |= {word: some[key] for key, word in _WORDS.items() if key in some}
    if "default" in told:
        shown["default"] = told["default"]
    return shown


def _rates(site: Site) -> Json:
    most = site.settings.framelane_requests_per_minute
    return {} if most is None else {"requests_per_minute": most}


def _steps(site: Site) -> list[Json]:
    if not site.settings.framelane_signup:
        return [{"step": 1, "do": "Ask whoever runs this server for a key.", "method": None, "path": None}]
    return [
        {"step": 1, "do": "Send workspace_name and email.", "method": "POST", "path": "/v1/signup"},
        {"step": 2, "do": "Ask whoever runs this server for the code: it is in the log.", "method": None, "path": None},
        {"step": 3, "do": "Send email and otp_code.", "method": "POST", "path": "/v1/signup/verify"},
        {"step": 4, "do": "Send the key: Authorization: Bearer fl_…", "method": "GET", "path": "/v1/workspace"},
    ]


async def get_capabilities(call: Call) -> Reply:
    """The document."""
    return Reply(body=describe(call.site))


ROUTES = [Route("GET", "/v1/capabilities", get_capabilities, open=True)]
