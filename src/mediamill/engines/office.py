"""Office files with their layout, by LibreOffice where the machine has it: to PDF, page pictures and each other.

It goes first for office files, because pandoc keeps what a document says but not how it looks, and it is the only
reader of much that is old. Each run is a process with a profile of its own in scratch, made for it with macros, links,
updates and Java off, and is gone with it: nothing is shared between two documents. See `_office_kit` for how it runs.
"""

from __future__ import annotations

import glob
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from mediamill import fonts
from mediamill.core import formats
from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines import _document_files as files
from mediamill.engines import _office_kit as kit
from mediamill.engines import _pages

SETTING = "MEDIAMILL_SOFFICE"
SYSTEM_FONTS = ("/usr/share/fonts", "/usr/local/share/fonts")
PLACES = (
    "/usr/lib/libreoffice/program/soffice",
    "/usr/lib64/libreoffice/program/soffice",
    "/opt/libreoffice*/program/soffice",
)
"""Some put a script on PATH that is not inside the folder."""
XLS = "application/vnd.ms-excel"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODS = "application/vnd.oasis.opendocument.spreadsheet"

WORDS = (files.DOCX, files.DOC, files.ODT, files.RTF)
SLIDES = (files.PPTX, files.PPT, files.ODP)
SHEETS = (XLS, XLSX, ODS)
FILTER_OPTIONS = {files.TXT: "UTF8", files.HTML: "EmbedImages"}
FIRST, LAST = 10, 80
"""Ranks: before pandoc where the layout counts or nothing else reads the type well; behind everything for sheets,
whose own engine is quicker and starts no program."""

_REGISTRY = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
{items}
</oor:items>
"""
_SETTINGS = (
    ("org.openoffice.Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("org.openoffice.Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("org.openoffice.Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("org.openoffice.Office.Common/Security/Scripting", "DisableActiveContent", "true"),
    ("org.openoffice.Office.Common/Misc", "UseOpenCL", "false"),
    ("org.openoffice.Office.Java/VirtualMachine", "Enable", "false"),
    ("org.openoffice.Office.Writer/Content/Update", "Link", "0"),
    ("org.openoffice.Office.Calc/Content/Update", "Link", "1"),
    (
        "org.openoffice.Office.Jobs/Jobs/org.openoffice.Office.Jobs:Job['UpdateCheck']/Arguments",
        "AutoCheckEnabled",
        "false",
    ),
)
_NO_FORMULA_BAR = """<item oor:path="/org.openoffice.Office.Views/Windows"><node oor:name="26100" oor:op="replace">
<prop oor:name="Visible"><value>false</value></prop></node></item>"""
"""FID_INPUTLINE_STATUS of LibreOffice's sc.hrc. The drawing of that bar is not in the packages without windows, and a
sheet does not open where it is to be shown."""


def folder() -> Path | None:
    """LibreOffice's program folder: of the soffice that the operator named, or of the one the machine has."""
    named = os.environ.get(SETTING)
    programs = [Path(named)] if named else [Path(p) for p in (shutil.which("soffice"), *sorted(_places())) if p]
    folders = (path.resolve().parent for path in programs if path.exists())
    return next((path for path in folders if kit.library(path) is not None), None)


def _places() -> Iterator[str]:
    for pattern in PLACES:
        yield from glob.glob(pattern)


class Office:
    """See the module. Implements core.ports.Converter."""

    name = "office"

    def pairs(self) -> Mapping[Pair, int]:
        found: dict[Pair, int] = {}
        for source in (*WORDS, *SLIDES):
            for target in (files.PDF, *_pages.PICTURES):
                found[source, target] = FIRST if source != files.RTF else 60
        for target in (files.DOCX, files.ODT, files.RTF, files.TXT, files.HTML):
            found[files.DOC, target] = FIRST
        for source in SHEETS:
            for target in (files.PDF, *_pages.PICTURES, XLSX, ODS):
                if source != target:
                    found[source, target] = LAST
        return found

    def missing(self) -> Missing | None:
        if folder() is not None:
            return None
        return Missing(
            reason="LibreOffice is not on this machine.",
            remedy="Install the packages libreoffice-writer-nogui, libreoffice-calc-nogui and "
            f"libreoffice-impress-nogui, or name the soffice in its program folder in {SETTING}.",
        )

    def keys(self, pair: Pair) -> frozenset[str]:
        return _pages.keys(pair[1]) if pair[1] in _pages.PICTURES else frozenset()

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        files.check(work.source, work.source_mime)
        if work.target_mime in _pages.PICTURES:
            pdf = work.scratch / "pages.pdf"
            _run(work, files.PDF, pdf)
            return _pages.draw(work, pdf)
        _run(work, work.target_mime, work.target)
        if work.target_mime != files.PDF:
            return {}
        with _pages.opened(work.target) as document:
            return {"pages": len(document)}


def _run(work: Conversion, mime: str, target: Path) -> None:
    program = folder()
    if program is None:
        raise ToolFailed("LibreOffice is not on this machine.")
    room = work.scratch / "office"
    profile = room / "profile"
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(_registry(), encoding="utf-8")
    source = room / f"source{formats.suffix(work.source_mime)}"
    shutil.copyfile(work.source, source)
    made = room / f"made{formats.suffix(mime)}"
    argv: list[str | Path] = [
        *(sys.executable, "-I", "-S", kit.__file__),
        *(program, profile.as_uri(), source.as_uri(), made.as_uri()),
        *(formats.suffix(mime).removeprefix("."), FILTER_OPTIONS.get(mime, "")),
    ]
    work.report("work", 0.1)
    home = {"HOME": str(room), "TMPDIR": str(room), "SAL_USE_VCLPLUGIN": "svp", "FONTCONFIG_FILE": str(_fonts(room))}
    try:
        work.tools.run(argv, name="LibreOffice", env=home, cwd=room, timeout_s=300, ok=(kit.DONE, kit.UNREADABLE))
        if not made.is_file():
            raise BadMedia("The document cannot be read: it is damaged, protected or not what it claims to be.")
        work.report("encode", 0.8)
        shutil.move(made, target)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _fonts(room: Path) -> Path:
    """A list of font folders with ours in it: a machine's own seldom cover more than Latin."""
    folders = "".join(f"<dir>{escape(str(path))}</dir>" for path in (*SYSTEM_FONTS, *fonts.folders()))
    path = room / "fonts.conf"
    cache = f"<cachedir>{escape(str(room / 'font-cache'))}</cachedir>"
    path.write_text(f'<?xml version="1.0"?><fontconfig>{folders}{cache}</fontconfig>', encoding="utf-8")
    return path


def _registry() -> str:
    items = [
        f'<item oor:path="/{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value></prop></item>'
        for path, name, value in _SETTINGS
    ]
    return _REGISTRY.format(items="\n".join([*items, _NO_FORMULA_BAR]))


CONVERTER = Office()
