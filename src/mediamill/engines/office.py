"""Office files with their layout, by LibreOffice where the machine has it: to PDF, page pictures and each other.

It goes first for office files, because pandoc keeps what a document says but not how it looks, and it is the only
reader of much that is old. Each run has a profile of its own in scratch, made for it with macros, links, updates and
Java off, and is killed with it: nothing is shared between two documents.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from mediamill import fonts
from mediamill.core import formats
from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines import _document_files as files
from mediamill.engines import _pages

SETTING = "MEDIAMILL_SOFFICE"
SYSTEM_FONTS = ("/usr/share/fonts", "/usr/local/share/fonts")
PLACES = ("/opt/libreoffice/program/soffice", "/usr/lib/libreoffice/program/soffice")
XLS = "application/vnd.ms-excel"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODS = "application/vnd.oasis.opendocument.spreadsheet"

WORDS = (files.DOCX, files.DOC, files.ODT, files.RTF)
SLIDES = (files.PPTX, files.PPT, files.ODP)
SHEETS = (XLS, XLSX, ODS)
FILTERS = {
    files.DOCX: "docx:MS Word 2007 XML",
    files.ODT: "odt:writer8",
    files.RTF: "rtf:Rich Text Format",
    files.TXT: "txt:Text (encoded):UTF8",
    files.HTML: "html:HTML (StarWriter):EmbedImages",
    files.PDF: "pdf",
    XLSX: "xlsx:Calc MS Excel 2007 XML",
    ODS: "ods:calc8",
}
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


def program() -> Path | None:
    """The operator's soffice, or the one the machine has."""
    named = os.environ.get(SETTING)
    found = [Path(named)] if named else [Path(p) for p in (shutil.which("soffice"), *PLACES) if p]
    return next((path for path in found if path.is_file() and os.access(path, os.X_OK)), None)


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
        if program() is not None:
            return None
        return Missing(
            reason="LibreOffice is not on this machine.",
            remedy="Install the packages libreoffice-writer-nogui, libreoffice-calc-nogui and "
            f"libreoffice-impress-nogui, or name its program in {SETTING}.",
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
    binary = program()
    if binary is None:
        raise ToolFailed("LibreOffice is not on this machine.")
    room = work.scratch / "office"
    out, profile = room / "out", room / "profile"
    out.mkdir(parents=True)
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(_registry(), encoding="utf-8")
    source = room / f"source{formats.suffix(work.source_mime)}"
    shutil.copyfile(work.source, source)
    argv: list[str | Path] = [
        binary,
        f"-env:UserInstallation={profile.as_uri()}",
        *("--headless", "--invisible", "--norestore", "--nologo", "--nodefault", "--nolockcheck"),
        *("--convert-to", FILTERS[mime], "--outdir", out, source),
    ]
    work.report("work", 0.1)
    home = {"HOME": str(room), "TMPDIR": str(room), "SAL_USE_VCLPLUGIN": "svp", "FONTCONFIG_FILE": str(_fonts(room))}
    work.tools.run(argv, name="LibreOffice", env=home, cwd=room, timeout_s=300)
    made = next((path for path in out.iterdir() if path.is_file()), None)
    if made is None:  # it says so on its output and ends with 0
        raise BadMedia("The document cannot be read: it is damaged, protected or not what it claims to be.")
    work.report("encode", 0.8)
    shutil.move(made, target)
    shutil.rmtree(room, ignore_errors=True)


def _fonts(room: Path) -> Path:
    """A list of font folders with ours in it: a machine's own seldom cover more than Latin."""
    folders = "".join(f"<dir>{escape(str(path))}</dir>" for path in (*SYSTEM_FONTS, *fonts.folders()))
    path = room / "fonts.conf"
    cache = f"<cachedir>{escape(str(room / 'font-cache'))}</cachedir>"
    path.write_text(f'<?xml version="1.0"?><fontconfig>{folders}{cache}</fontconfig>', encoding="utf-8")
    return path


def _registry() -> str:
    items = (
        f'<item oor:path="/{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value></prop></item>'
        for path, name, value in _SETTINGS
    )
    return _REGISTRY.format(items="\n".join(items))


CONVERTER = Office()
