"""The DASH manifest over the same files, by their segment indexes. Source: ISO/IEC 23009-1, on-demand profile."""

from __future__ import annotations

from fractions import Fraction
from xml.etree import ElementTree as Xml  # only written here, never read

from mediamill.engines._adaptive_renditions import Rendition, Renditions, rendition_peak_bps

_MPD = "urn:mpeg:dash:schema:mpd:2011"
_ON_DEMAND = "urn:mpeg:dash:profile:isoff-on-demand:2011"
_ROLE = "urn:mpeg:dash:role:2011"
_CHANNELS = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"


def manifest(renditions: Renditions) -> str:
    """The MPD."""
    target_s = renditions.target_s
    lasting = f"PT{renditions.duration_s:.3f}S"
    root = Xml.Element(
        "MPD",
        {
            "xmlns": _MPD,
            "profiles": _ON_DEMAND,
            "type": "static",
            "mediaPresentationDuration": lasting,
            "maxSubsegmentDuration": f"PT{target_s}S",
            "minBufferTime": f"PT{target_s}S",
        },
    )
    period = Xml.SubElement(root, "Period", {"id": "0", "start": "PT0S", "duration": lasting})
    if renditions.pictures:
        _pictures(period, renditions, target_s)
        for sound in renditions.sounds:
            _sounds(period, [sound], target_s)
    else:
        _sounds(period, list(renditions.sounds), target_s)
    for text in renditions.texts:
        kind = {"contentType": "text", "mimeType": "text/vtt"}
        group = Xml.SubElement(period, "AdaptationSet", {**kind, **_language(text.language)})
        Xml.SubElement(group, "Label").text = text.label
        for role in ("subtitle", *(("main",) if text.default else ())):
            Xml.SubElement(group, "Role", {"schemeIdUri": _ROLE, "value": role})
        one = Xml.SubElement(group, "Representation", {"id": text.name, "bandwidth": "1000"})
        Xml.SubElement(one, "BaseURL").text = text.file
    for number, group in enumerate(period):
        group.set("id", str(number))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _pictures(period: Xml.Element, renditions: Renditions, target_s: int) -> None:
    best = renditions.pictures[0].track
    shape = Fraction(best.width_px, best.height_px)
    group = Xml.SubElement(
        period,
        "AdaptationSet",
        {
            "contentType": "video",
            "mimeType": "video/mp4",
            "par": f"{shape.numerator}:{shape.denominator}",
            "maxWidth": str(best.width_px),
            "maxHeight": str(best.height_px),
            "subsegmentAlignment": "true",
            "subsegmentStartsWithSAP": "1",
        },
    )
    for picture in renditions.pictures:
        track = picture.track
        rate = Fraction(track.frame_rate).limit_denominator(1001)
        _representation(
            group,
            picture,
            target_s,
            width=str(track.width_px),
            height=str(track.height_px),
            frameRate=str(rate),
            sar="1:1",
        )


def _sounds(period: Xml.Element, sounds: list[Rendition], target_s: int) -> None:
    group = Xml.SubElement(
        period,
        "AdaptationSet",
        {
            "contentType": "audio",
            "mimeType": "audio/mp4",
            **_language(sounds[0].language),
            "subsegmentAlignment": "true",
            "subsegmentStartsWithSAP": "1",
        },
    )
    if sounds[0].label:
        Xml.SubElement(group, "Label").text = sounds[0].label
    role = "main" if sounds[0].default or len(sounds) > 1 else "alternate"
    Xml.SubElement(group, "Role", {"schemeIdUri": _ROLE, "value": role})
    for sound in sounds:
        rate = str(sound.track.sample_rate_hz)
        one = _representation(group, sound, target_s, audioSamplingRate=rate)
        channels = {"schemeIdUri": _CHANNELS, "value": str(sound.track.channels)}
        one.insert(0, Xml.Element("AudioChannelConfiguration", channels))


def _representation(group: Xml.Element, rendition: Rendition, target_s: int, **attributes: str) -> Xml.Element:
    bandwidth = str(rendition_peak_bps(rendition, target_s))
    basis = {"id": rendition.name, "codecs": rendition.track.codec, "bandwidth": bandwidth}
    one = Xml.SubElement(group, "Representation", {**basis, **attributes})
    Xml.SubElement(one, "BaseURL").text = rendition.file
    first, last = rendition.index
    base = {"timescale": str(rendition.track.time_scale), "indexRange": f"{first}-{last}"}
    segment = Xml.SubElement(one, "SegmentBase", base)
    Xml.SubElement(segment, "Initialization", {"range": f"0-{rendition.track.init_bytes - 1}"})
    return one


def _language(language: str | None) -> dict[str, str]:
    return {"lang": language} if language else {}
