"""Charts on slides come out as the numbers that they show."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support import documents as recipes
from tests.support.documents import Bench

from mediamill.engines import _document_charts, pandoc, typeset

CHART = "http://schemas.openxmlformats.org/drawingml/2006/chart"
REFERS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def cells(kind: str, values: Sequence[str], form: str = "General") -> str:
    points = "".join(f'<c:pt idx="{at}"><c:v>{value}</c:v></c:pt>' for at, value in enumerate(values) if value)
    cached = f"<c:numRef><c:numCache><c:formatCode>{form}</c:formatCode>{points}</c:numCache></c:numRef>"
    return f"<c:{kind}>{cached}</c:{kind}>"


def chart(*series: str, title: str = "") -> bytes:
    titled = f"<c:title><c:tx><c:rich><a:p><a:r><a:t>{title}</a:t></a:r></a:p></c:rich></c:tx></c:title>"
    spaces = f'xmlns:c="{CHART}" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    rows = "".join(f"<c:ser>{one}</c:ser>" for one in series)
    plot = f"<c:plotArea><c:barChart>{rows}</c:barChart></c:plotArea>"
    return f"<c:chartSpace {spaces}><c:chart>{titled * bool(title)}{plot}</c:chart></c:chartSpace>".encode()


SALES = chart(
    f"<c:tx><c:v>North</c:v></c:tx>{cells('cat', ['1st', '2nd', '3rd'])}{cells('val', ['8.2', '', '3.0'])}",
    f"<c:tx><c:v>South</c:v></c:tx>{cells('cat', ['1st', '2nd', '3rd'])}{cells('val', ['0.25', '0.5', '1'], '0%')}",
    title="Sales",
)
DAYS = chart(f"{cells('cat', ['37261.0'], 'm/d/yy')}{cells('val', ['12'], '0 &quot;yards&quot;')}")


def slides(*charts: bytes) -> bytes:
    """Pandoc's two slides with charts at the end of the first."""
    frame = (
        '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="{0}" name="Chart"/><p:cNvGraphicFramePr/><p:nvPr/>'
        '</p:nvGraphicFramePr><p:xfrm><a:off x="0" y="0"/><a:ext cx="9" cy="9"/></p:xfrm><a:graphic>'
        f'<a:graphicData uri="{CHART}"><c:chart xmlns:c="{CHART}" xmlns:r="{REFERS}" r:id="chart{{1}}"/>'
        "</a:graphicData></a:graphic></p:graphicFrame>"
    )
    lead = f'<Relationship Id="chart{{0}}" Type="{REFERS}/chart" Target="../charts/chart{{0}}.xml"/>'
    put = {
        "ppt/slides/slide1.xml": ("</p:spTree>", [frame.format(90 + at, at) for at in range(len(charts))]),
        "ppt/slides/_rels/slide1.xml.rels": ("</Relationships>", [lead.format(at) for at in range(len(charts))]),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(recipes.pptx())) as old, zipfile.ZipFile(made, "w") as new:
        for part in old.namelist():
            end, more = put.get(part, ("", []))
            new.writestr(part, old.read(part).replace(end.encode(), "".join([*more, end]).encode(), bool(end)))
        for at, data in enumerate(charts):
            new.writestr(f"ppt/charts/chart{at}.xml", data)
    return made.getvalue()


def rows(text: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip()]


def test_a_chart_of_a_slide_is_a_table_of_what_it_shows(bench: Bench) -> None:
    text = bench.convert(pandoc.CONVERTER, bench.file("a.pptx", slides(SALES, DAYS)), "txt").read_text()

    found = rows(text)
    begin = found.index(["Sales"])
    assert found[begin + 1] == ["North", "South"]
    assert found[begin + 3 : begin + 6] == [["1st", "8.2", "25%"], ["2nd", "50%"], ["3rd", "3", "100%"]]
    assert ["2002-01-05", "12"] in found
    assert "schemas" not in text
    assert "Быстрая лисица" in text


def test_it_is_set_on_pages_too(bench: Bench) -> None:
    out = bench.convert(typeset.CONVERTER, bench.file("a.pptx", slides(SALES)), "pdf")

    assert {"Sales", "North", "25%"} <= set(recipes.pdf_text(out).split())


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"<none/>",
        SALES[:-40],
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + SALES,
        chart(cells("val", ["1"]).replace('idx="0"', 'idx="-1"')),
        chart(*[cells("val", ["1"] * 100)] * 51),
    ],
    ids=["empty", "another element", "cut short", "entities", "no place", "too many cells"],
)
def test_a_chart_that_cannot_be_read_is_named_and_no_more(broken: bytes, bench: Bench) -> None:
    found = rows(bench.convert(pandoc.CONVERTER, bench.file("a.pptx", slides(broken, DAYS)), "txt").read_text())

    assert ["[Chart]"] in found
    assert ["2002-01-05", "12"] in found


def test_charts_that_are_not_those_that_are_marked_are_named_and_no_more(bench: Bench) -> None:
    tree = {"blocks": [{"t": "Para", "c": [{"t": "Str", "c": f"[Graphic: other: {CHART}]"}]}] * 2}

    _document_charts.fill(tree, bench.file("a.pptx", slides(DAYS)))

    assert [block["c"][0]["c"] for block in tree["blocks"]] == ["[Chart]", "[Chart]"]


def test_other_graphics_are_named_without_their_schema() -> None:
    tree = {"blocks": [{"t": "Para", "c": [{"t": "Str", "c": "[Graphic: other: http://schemas.example/ink]"}]}]}

    _document_charts.fill(tree, Path("none.pptx"))

    assert tree["blocks"] == [{"t": "Para", "c": [{"t": "Str", "c": "[Graphic]"}]}]
