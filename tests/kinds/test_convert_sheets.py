"""Sheets turned into each other: read back by other libraries, cell by cell; hostile ones are refused."""

from __future__ import annotations

import csv
import json
import re
import struct
import tracemalloc
import zipfile
from datetime import date, datetime, time, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl
import pypdfium2
import pytest
import python_calamine
from tests.support.sheets import MOMENT, TABLE, convert, xls, xlsx

from mediamill.core import formats
from mediamill.core.errors import BadMedia, Failed, LimitExceeded
from mediamill.engines import _sheet_pdf, _sheet_read
from mediamill.engines._sheet import shown, typed
from mediamill.engines.sheet_probe import PROBER
from mediamill.engines.sheets import CONVERTER

SOURCES = ("xlsx", "xls", "ods", "csv", "tsv", "psv", "json")
TARGETS = ("xlsx", "ods", "csv", "tsv", "psv", "json", "pdf", "rtf", "html", "txt")
WORDS = ("id", "name", "price", "paid", "Zoë", "1.25")


class Cells(HTMLParser):
    """The text of every table cell of a page, a list for each row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._open = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.rows[-1][-1] += data


def words(path: Path, kind: str) -> str:
    """All the text of a file that was made, by an independent reader."""
    if kind in ("xlsx", "ods"):
        book = python_calamine.CalamineWorkbook.from_path(str(path))
        return repr([book.get_sheet_by_name(name).to_python() for name in book.sheet_names])
    if kind == "pdf":
        with pypdfium2.PdfDocument(path) as document:
            return "".join(page.get_textpage().get_text_range() for page in document)
    if kind == "rtf":
        import pypandoc

        return str(pypandoc.convert_file(str(path), "plain", format="rtf", extra_args=["--columns=300"]))
    if kind == "json":
        return str(json.loads(path.read_text(encoding="utf-8")))
    return path.read_text(encoding="utf-8")


def cells(path: Path, sheet: str | None = None) -> list[list[Any]]:
    book = openpyxl.load_workbook(path, data_only=True)
    rows = [[cell.value for cell in row] for row in (book[sheet] if sheet else book.worksheets[0]).iter_rows()]
    book.close()
    return rows


def file(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sheets")
    table = [["id", "name", "price", "paid", "on"], [1, "Zoë", 1.25, True, date(2024, 2, 29)]]
    made = {"xlsx": xlsx(folder / "a.xlsx", {"Blad Å": table}), "xls": xls(folder / "a.xls")}
    for kind in SOURCES[2:]:
        made[kind] = convert(CONVERTER, made["xlsx"], "xlsx", kind, folder)[0]
    return made


@pytest.mark.parametrize("wanted", TARGETS)
@pytest.mark.parametrize("given", SOURCES)
def test_every_sheet_becomes_every_target_with_its_words(
    given: str, wanted: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    made, details = convert(CONVERTER, sources[given], given, wanted, tmp_path)

    found = words(made, wanted)
    assert [word for word in WORDS if word not in found] == []
    assert details["sheets"] == 1


@pytest.mark.parametrize("given", ["xlsx", "xls", "ods", "csv", "tsv", "psv", "json"])
@pytest.mark.parametrize("via", ["xlsx", "ods"])
def test_numbers_booleans_and_dates_keep_their_types(
    given: str, via: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    made, _ = convert(CONVERTER, sources[given], given, via, tmp_path)

    book = python_calamine.CalamineWorkbook.from_path(str(made))
    day: Any = "2024-02-29" if given == "json" else date(2024, 2, 29)  # JSON has no dates: text stays text
    assert book.get_sheet_by_index(0).to_python()[1] == [1, "Zoë", 1.25, True, day]


def test_xlsx_and_ods_keep_every_cell_and_sheet(tmp_path: Path) -> None:
    source = xlsx(tmp_path / "a.xlsx")

    ods, details = convert(CONVERTER, source, "xlsx", "ods", tmp_path)
    back, _ = convert(CONVERTER, ods, "ods", "xlsx", tmp_path)

    assert details == {"sheets": 2, "rows": 6}
    assert PROBER.probe(ods, formats.by_filename("a.ods").mime).sheets == 2  # type: ignore[union-attr]
    found = cells(back, "First")
    for row, expected in zip(found, TABLE, strict=True):
        for value, wanted in zip(row, expected, strict=False):
            if type(wanted) is date:
                value = value.date()
            if type(wanted) is datetime:
                assert abs(value - wanted) < timedelta(milliseconds=1)
            else:
                assert value == wanted
    assert cells(back, "Second Ünit") == [["a", "b"], [1, 2]]


def test_csv_shows_values_as_iso_text(tmp_path: Path) -> None:
    made, details = convert(CONVERTER, xlsx(tmp_path / "a.xlsx"), "xlsx", "csv", tmp_path)

    with made.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[1] == [
        "1",
        'Zoë <&> "q"',
        "1.25",
        "TRUE",
        "2024-02-29",
        "2024-02-29T13:45:10",
        "01:02:03",
        "30:00:00",
        "007",
    ]
    assert rows[3][1] == "two\nlines"
    assert b"\r\n" in made.read_bytes()
    assert details == {"sheets": 2, "rows": 4, "sheet": "First"}


def test_text_that_looks_like_a_formula_or_a_code_stays_text(tmp_path: Path) -> None:
    odd = ["007", "=1+1", "+49 30", "@cmd", "-x", "1e5", "1234567890123456789", "0.10000000000000000001", "-0", "1.5.2",
           "2024-13-01", "TRUEISH", " 1", "_x0041_", "a\x01b", "=HYPERLINK(\"http://x\")"]  # fmt: skip
    source = file(tmp_path, "a.csv", "code\n" + "\n".join('"' + word.replace('"', '""') + '"' for word in odd))

    made, _ = convert(CONVERTER, source, "csv", "xlsx", tmp_path)
    ods, _ = convert(CONVERTER, source, "csv", "ods", tmp_path)
    twice, _ = convert(CONVERTER, made, "xlsx", "csv", tmp_path)

    book = openpyxl.load_workbook(made)
    found = [row[0] for row in book.worksheets[0].iter_rows(min_row=2)]
    kinds = {cell.value: cell.data_type for cell in found}
    assert "f" not in kinds.values()
    assert [word for word in odd if kinds.get(word) not in ("s", "inlineStr")] == ["1e5", "_x0041_", "a\x01b"]
    assert b"<f>" not in zipfile.ZipFile(made).read("xl/worksheets/sheet1.xml")
    assert b"table:formula" not in zipfile.ZipFile(ods).read("content.xml")
    with twice.open(encoding="utf-8", newline="") as stream:
        back = [row[0] for row in csv.reader(stream)][1:]
    assert back == ["100000" if word == "1e5" else word for word in odd]


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("-7", -7), ("0", 0), ("1.50", 1.5), ("-0.25", -0.25), ("true", True), ("FALSE", False), ("", None),
     ("2024-02-29", date(2024, 2, 29)), ("2024-02-29T13:45:10", MOMENT), ("2024-02-29 13:45:10", MOMENT),
     ("1.5e-3", 0.0015), ("01", "01"), ("1,5", "1,5"), ("2023-02-29", "2023-02-29"), ("١٢", "١٢")],
)  # fmt: skip
def test_a_type_is_given_only_where_nothing_is_lost(text: str, value: Any) -> None:
    assert typed(text) == value
    assert type(typed(text)) is type(value)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_dialects_and_encodings_are_found(codec: str, delimiter: str, tmp_path: Path) -> None:
    rows = [["name", "city, land", "n"], ["Zoë “q”", "Köln; Rhein", "1"], ["a|b", 'say "hi"', "2"]]
    source = tmp_path / "a.csv"
    with source.open("w", encoding=codec, newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)

    made, _ = convert(CONVERTER, source, "csv", "json", tmp_path)

    assert [list(row.values()) for row in json.loads(made.read_text(encoding="utf-8"))] == [
        ["Zoë “q”", "Köln; Rhein", 1],
        ["a|b", 'say "hi"', 2],
    ]


def test_excels_delimiter_line_is_obeyed_and_not_a_row(tmp_path: Path) -> None:
    made, _ = convert(CONVERTER, file(tmp_path, "a.csv", "sep=^\r\na^b,c\r\n1^2,3\r\n"), "csv", "tsv", tmp_path)

    assert made.read_text() == "a\tb,c\n1\t2,3\n"


def test_json_objects_with_different_keys_become_one_table(tmp_path: Path) -> None:
    source = file(
        tmp_path, "a.json", '[{"a": 1, "b": null}, {"c": {"d": [1, "é"]}, "a": "007"}, {"a": 12345678901234567890}]'
    )

    made, _ = convert(CONVERTER, source, "json", "csv", tmp_path)
    book, _ = convert(CONVERTER, source, "json", "xlsx", tmp_path)

    with made.open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["a", "b", "c"], ["1", "", ""], ["007", "", '{"d":[1,"é"]}'], ["12345678901234567890", "", ""]
        ]  # fmt: skip
    assert [row[0] for row in cells(book)] == ["a", 1, "007", "12345678901234567890"]


def test_json_arrays_and_plain_values_become_rows(tmp_path: Path) -> None:
    arrays, _ = convert(CONVERTER, file(tmp_path, "a.json", '[["x","y"],[1,[2]],[]]'), "json", "psv", tmp_path)
    values, _ = convert(CONVERTER, file(tmp_path, "b.json", ' [1, "two",\n true, null] '), "json", "tsv", tmp_path)

    assert arrays.read_text() == "x|y\n1|[2]\n\n"
    assert values.read_text() == 'value\n1\ntwo\nTRUE\n""\n'


def test_json_keys_are_never_lost(tmp_path: Path) -> None:
    made, _ = convert(CONVERTER, file(tmp_path, "a.csv", "a,a,,a_2\n1,2,3,4,5\n"), "csv", "json", tmp_path)

    [row] = json.loads(made.read_text())
    assert list(row.values()) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "data",
    ['{"a": 1}', '"x"', "7", "[]", "[1, {}]", "[[1], {}]", "[1, 2", '[{"a": 1},]', '[{"a" 1}]', "[NaN]", "[1] [2]", "",
     "[" * 100_000, "[" + "9" * 5000 + "]", b"[\"\xff\"]", b"\x89PNG\0\0"],
)  # fmt: skip
def test_json_that_is_no_table_is_refused(data: str | bytes, tmp_path: Path) -> None:
    with pytest.raises(BadMedia):
        convert(CONVERTER, file(tmp_path, "a.json", data), "json", "csv", tmp_path)


def test_long_json_is_read_over_its_blocks(tmp_path: Path) -> None:
    rows = [{"n": number, "text": "é" * (number % 3000), "deep": [number]} for number in range(3000)]
    source = file(tmp_path, "a.json", json.dumps(rows, indent=1, ensure_ascii=False))

    made, _ = convert(CONVERTER, source, "json", "json", tmp_path)

    found = json.loads(made.read_text(encoding="utf-8"))
    assert [(row["n"], row["text"] or "", row["deep"]) for row in found] == [
        (row["n"], row["text"], f"[{row['n']}]") for row in rows
    ]


@pytest.mark.parametrize("wanted", ["xlsx", "ods", "json", "tsv", "html"])
def test_a_long_csv_streams(wanted: str, tmp_path: Path) -> None:
    source = tmp_path / "long.csv"
    with source.open("w") as stream:
        stream.writelines(f"{number},name {number},{number / 4}\n" for number in range(30_000))
    convert(CONVERTER, source, "csv", wanted, tmp_path)  # imports are not counted

    tracemalloc.start()
    _, details = convert(CONVERTER, source, "csv", wanted, tmp_path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert details["rows"] in (29_999, 30_000)
    assert peak_bytes < 4_000_000


@pytest.mark.parametrize("sheet", [2, "Second Ünit"])
def test_a_sheet_is_chosen_by_number_or_name(sheet: str | int, tmp_path: Path) -> None:
    source = xlsx(tmp_path / "a.xlsx")

    made, details = convert(CONVERTER, source, "xlsx", "csv", tmp_path, sheet=sheet)
    book, _ = convert(CONVERTER, source, "xlsx", "ods", tmp_path, sheet=sheet)

    assert made.read_text() == "a,b\n1,2\n"
    assert details["sheet"] == "Second Ünit"
    assert python_calamine.CalamineWorkbook.from_path(str(book)).sheet_names == ["Second Ünit"]


def test_a_sheet_that_is_not_there_is_refused_with_the_names(tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match="'First', 'Second Ünit'"):
        convert(CONVERTER, xlsx(tmp_path / "a.xlsx"), "xlsx", "csv", tmp_path, sheet=3)


def test_cells_keep_their_places(tmp_path: Path) -> None:
    source = xlsx(tmp_path / "a.xlsx", {"Far": [[], [], [None, None, "x"], [None, 5]]})

    ods, _ = convert(CONVERTER, source, "xlsx", "ods", tmp_path)
    made, _ = convert(CONVERTER, ods, "ods", "csv", tmp_path)

    assert made.read_text() == '""\n""\n,,x\n,5\n'.replace('""\n', "\n")


def test_the_computed_value_of_a_formula_is_used(tmp_path: Path) -> None:
    source = xlsx(tmp_path / "a.xlsx", {"One": [["sum"], [2]]})
    with zipfile.ZipFile(source) as parts:
        contents = {name: parts.read(name) for name in parts.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    changed = contents[sheet].replace(b"<v>2</v>", b"<f>1+1</f><v>2</v>")
    assert changed != contents[sheet]
    with zipfile.ZipFile(source, "w") as parts:
        for name, data in {**contents, sheet: changed}.items():
            parts.writestr(name, data)

    made, _ = convert(CONVERTER, source, "xlsx", "csv", tmp_path)

    assert made.read_text() == "sum\n2\n"


def test_html_shows_every_cell_and_runs_none(tmp_path: Path) -> None:
    source = file(tmp_path, "a.csv", 'name,n\n<script>alert(1)</script>,7\n"</td>&amp;",8\n')

    made, _ = convert(CONVERTER, source, "csv", "html", tmp_path)

    page = made.read_text(encoding="utf-8")
    assert "<script" not in page
    assert Cells(page).rows == [["name", "n"], ["<script>alert(1)</script>", "7"], ["</td>&amp;", "8"]]


def test_rtf_escapes_its_own_signs_and_holds_every_script(tmp_path: Path) -> None:
    source = file(tmp_path, "a.csv", 'name,n\n"{\\b x}",7\n日本語 🎉,é\n')

    made, _ = convert(CONVERTER, source, "csv", "rtf", tmp_path)

    found = words(made, "rtf")
    assert all(word in found for word in ("{\\b x}", "日本語", "é"))
    units = [int(unit) % 65536 for unit in re.findall(r"\\u(-?\d+)\?", made.read_text())]
    assert struct.pack(f"<{len(units)}H", *units).decode("utf-16-le") == "日本語🎉é"  # pandoc does not join surrogates


def test_halves_of_characters_and_controls_do_not_keep_a_sheet_from_being_set(tmp_path: Path) -> None:
    source = tmp_path / "odd.json"
    source.write_bytes(b'[{"half": "\\ud800", "nu\\u0000l": "a\\u0000\\u0007b"}]')

    made, _ = convert(CONVERTER, source, "json", "pdf", tmp_path)

    assert "half" in words(made, "pdf")


def test_pdf_repeats_its_header_numbers_its_pages_and_lies_when_wide(tmp_path: Path) -> None:
    long = file(tmp_path, "a.csv", "who,what\n" + "".join(f"row{n},#set page {n}\n" for n in range(150)))
    wide = file(tmp_path, "b.csv", ",".join(f"column {n}" for n in range(14)) + "\n" + ",".join(["value"] * 14))

    made, details = convert(CONVERTER, long, "csv", "pdf", tmp_path)
    lying, _ = convert(CONVERTER, wide, "csv", "pdf", tmp_path)

    with pypdfium2.PdfDocument(made) as document:
        pages = [page.get_textpage().get_text_range() for page in document]
        assert document[0].get_width() < document[0].get_height()
    assert details["rows"] == 151
    assert len(pages) > 1
    assert all("who" in page and f"{number} / {len(pages)}" in page for number, page in enumerate(pages, 1))
    assert "row149" in pages[-1]
    assert "#set page 149" in pages[-1]
    with pypdfium2.PdfDocument(lying) as document:
        assert document[0].get_width() > document[0].get_height()


def test_too_long_for_a_pdf_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_sheet_pdf, "ROWS", 10)

    with pytest.raises(LimitExceeded, match="rows"):
        convert(CONVERTER, file(tmp_path, "a.csv", "a\n" * 11), "csv", "pdf", tmp_path)
    with pytest.raises(LimitExceeded, match="columns"):
        convert(CONVERTER, file(tmp_path, "b.csv", "a," * 300), "csv", "pdf", tmp_path)


@pytest.fixture
def bombs(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Small files that would grow large."""
    zeros = tmp_path / "zeros.xlsx"
    with zipfile.ZipFile(zeros, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet1.xml", b" " * 20 * 1024**2)
    corners = xlsx(tmp_path / "corners.xlsx", {"Far": [["x"]]})
    with zipfile.ZipFile(corners) as parts:
        contents = {name: parts.read(name) for name in parts.namelist()}
    with zipfile.ZipFile(corners, "w") as parts:
        for name, data in contents.items():
            far = data.replace(b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>')
            parts.writestr(name, far)
    repeated = tmp_path / "repeated.ods"
    head = (
        '<o:document-content xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:t="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><o:body><o:spreadsheet><t:table t:name="a">'
    )
    cell = '<t:table-cell t:number-columns-repeated="16384" o:value-type="float" o:value="1"/>'
    body = f'<t:table-row t:number-rows-repeated="1048576">{cell}</t:table-row>'
    tail = "</t:table></o:spreadsheet></o:body></o:document-content>"
    with zipfile.ZipFile(repeated, "w") as parts:
        parts.writestr("content.xml", head + body + tail)
    return {"zeros": (zeros, "xlsx"), "corners": (corners, "xlsx"), "repeated": (repeated, "ods")}


@pytest.mark.parametrize("bomb", ["zeros", "corners", "repeated"])
def test_bombs_stop(bomb: str, bombs: dict[str, tuple[Path, str]], tmp_path: Path) -> None:
    path, given = bombs[bomb]
    assert path.stat().st_size < 50_000

    with pytest.raises(LimitExceeded):
        convert(CONVERTER, path, given, "csv", tmp_path)


def test_an_unpacked_total_is_limited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_sheet_read, "UNPACKED_BYTES", 2000)

    with pytest.raises(LimitExceeded, match="GiB"):
        convert(CONVERTER, xlsx(tmp_path / "a.xlsx"), "xlsx", "csv", tmp_path)


def test_an_ods_that_defines_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ods"
    with zipfile.ZipFile(path, "w") as parts:
        parts.writestr("content.xml", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>')

    with pytest.raises(BadMedia, match="document type"):
        convert(CONVERTER, path, "ods", "csv", tmp_path)


@pytest.mark.parametrize("given", ["xlsx", "xls"])
def test_a_locked_workbook_is_named_as_such(given: str, tmp_path: Path) -> None:
    data = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(600)

    with pytest.raises(BadMedia, match="password"):
        convert(CONVERTER, file(tmp_path, "a", data), given, "csv", tmp_path)


@pytest.mark.parametrize("given", ["xlsx", "xls", "ods", "csv", "json"])
@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100), b"PK\5\6" + bytes(18), b"\0" * 500])
def test_what_is_no_sheet_is_refused(given: str, data: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadMedia):
        convert(CONVERTER, file(tmp_path, "a", data), given, "xlsx", tmp_path)


@pytest.mark.parametrize("given", ["xlsx", "xls", "ods"])
def test_damage_anywhere_is_an_error_of_ours_or_harmless(given: str, sources: dict[str, Path], tmp_path: Path) -> None:
    whole = sources[given].read_bytes()
    refused = 0
    for step in range(90):
        data = bytearray(whole)
        if step % 3 == 0:
            data = data[: len(data) * step // 90]
        else:
            for spot in range(6):
                data[(step * 7919 + spot * 104729) % len(data)] ^= 1 << (step + spot) % 8
        try:
            convert(CONVERTER, file(tmp_path, "hurt", data), given, "csv", tmp_path)
        except Failed:
            refused += 1

    assert refused >= 20


def test_every_value_is_shown_without_loss() -> None:
    values: list[Any] = [
        None,
        True,
        5,
        5.0,
        0.1,
        1e300,
        date(2024, 1, 2),
        time(1, 2, 3),
        timedelta(hours=30, seconds=1.5),
    ]

    assert [shown(value) for value in values] == [
        "", "TRUE", "5", "5", "0.1", "1e+300", "2024-01-02", "01:02:03", "30:00:01.5"
    ]  # fmt: skip
