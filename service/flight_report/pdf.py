"""A report as PDF, A4, by ReportLab (BSD)."""

from __future__ import annotations

import io
from html import escape
from typing import Any

import matplotlib
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import CondPageBreak, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

from service.flight_report.document import Block, Document, Facts, Figures, Grid, Heading, Plot, Text, is_number

_MARGIN = 18 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_DPI = 170
_INK, _SOFT, _LINE = colors.HexColor("#1b2733"), colors.HexColor("#5b6b7a"), colors.HexColor("#d8e0e7")
_TILE, _MARK = colors.HexColor("#f4f7f9"), colors.HexColor("#0b63a5")
_TILES_A_ROW = 4


def write(document: Document) -> bytes:
    """The whole file."""
    _register_fonts()
    stream = io.BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), _MARGIN)
    template = SimpleDocTemplate(stream, pagesize=A4, title=document.title, author="Deeplomatics", **margins)
    story = [
        Paragraph(escape(document.title), _style(20, 24, bold=True)),
        Paragraph(escape(document.subtitle), _style(10, 14, colour=_SOFT)),
        Spacer(1, 4 * mm),
    ]
    for block in document.blocks:
        story += _flowables(block)

    def number(canvas: Any, page: Any) -> None:
        canvas.setFont("Report", 8)
        canvas.setFillColor(_SOFT)
        canvas.drawString(_MARGIN, 10 * mm, document.title)
        canvas.drawRightString(A4[0] - _MARGIN, 10 * mm, str(page.page))

    template.build(story, onFirstPage=number, onLaterPages=number)
    return stream.getvalue()


def _register_fonts() -> None:
    """DejaVu, which matplotlib brings: all the signs of the field, and the same as in the drawings."""
    folder = f"{matplotlib.get_data_path()}/fonts/ttf"
    pdfmetrics.registerFont(TTFont("Report", f"{folder}/DejaVuSans.ttf"))
    pdfmetrics.registerFont(TTFont("Report-Bold", f"{folder}/DejaVuSans-Bold.ttf"))


def _style(
    size: float, leading: float, *, bold: bool = False, colour: Any = _INK, right: bool = False
) -> ParagraphStyle:
    return ParagraphStyle(
        "report",
        fontName="Report-Bold" if bold else "Report",
        fontSize=size,
        leading=leading,
        textColor=colour,
        alignment=2 if right else 0,
        spaceAfter=2,
    )


def _flowables(block: Block) -> list[Any]:
    match block:
        case Heading(level=2):
            return [CondPageBreak(60 * mm), Spacer(1, 5 * mm), Paragraph(escape(block.text), _style(14, 18, bold=True))]
        case Heading():
            return [CondPageBreak(45 * mm), Spacer(1, 3 * mm), Paragraph(escape(block.text), _style(11, 14, bold=True))]
        case Text():
            return [Paragraph(escape(block.text), _style(8.5, 12, colour=_SOFT) if block.note else _style(9.5, 13.5))]
        case Facts():
            rows = [[_cell(name, colour=_SOFT), _cell(value)] for name, value in block.rows]
            return [_table(rows, [38 * mm, _WIDTH - 38 * mm], [])]
        case Figures():
            return [_tiles(block)]
        case Grid():
            return _grid(block)
        case Plot():
            return [_picture(block)]


def _cell(text: str, *, bold: bool = False, colour: Any = _INK, right: bool = False) -> Paragraph:
    return Paragraph(escape(text), _style(7.5, 9.5, bold=bold, colour=colour, right=right))


def _table(rows: list[list[Any]], widths: list[float], style: list[Any], repeat: int = 0) -> Table:
    table = Table(rows, colWidths=widths, repeatRows=repeat, hAlign="LEFT")
    narrow = [("TOPPADDING", (0, 0), (-1, -1), 1.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5)]
    sides = [("LEFTPADDING", (0, 0), (-1, -1), 3), ("RIGHTPADDING", (0, 0), (-1, -1), 3)]
    table.setStyle([*narrow, *sides, ("VALIGN", (0, 0), (-1, -1), "TOP"), *style])
    return table


def _tiles(figures: Figures) -> Table:
    cells = [
        [
            Paragraph(escape(value), _style(14, 18, bold=True)),
            Paragraph(escape(name), _style(8.5, 11)),
            Paragraph(escape(how), _style(7.5, 10, colour=_SOFT)),
        ]
        for value, name, how in figures.tiles
    ]
    cells += [[]] * (-len(cells) % _TILES_A_ROW)
    rows: list[list[Any]] = [cells[k : k + _TILES_A_ROW] for k in range(0, len(cells), _TILES_A_ROW)]
    style = [
        ("BACKGROUND", (0, 0), (-1, -1), _TILE),
        ("INNERGRID", (0, 0), (-1, -1), 4, colors.white),
        ("TOPPADDING", (0, 0), (-1, -1), 5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
        ("LINEBEFORE", (0, 0), (0, -1), 3, _MARK),
    ]
    return _table(rows, [_WIDTH / _TILES_A_ROW] * _TILES_A_ROW, style)


def _grid(grid: Grid) -> list[Any]:
    """A table over the whole width: columns are as wide as what stands in them asks for."""
    right = [k > 0 and any(is_number(row[k]) for row in grid.rows) for k in range(len(grid.header))]
    columns = [[grid.header[k], *(row[k] for row in grid.rows)] for k in range(len(grid.header))]
    wishes = [min(max(max(len(word) for cell in column for word in cell.split() or [""]) + 1,
                      0.5 * max(map(len, column))), 34.0) for column in columns]  # fmt: skip
    widths = [_WIDTH * wish / sum(wishes) for wish in wishes]
    head = [_cell(name, bold=True, colour=_SOFT, right=r) for name, r in zip(grid.header, right, strict=True)]
    rows = [[_cell(cell, right=r) for cell, r in zip(row, right, strict=True)] for row in grid.rows]
    lines = [("LINEBELOW", (0, 0), (-1, 0), 1, _LINE), ("LINEBELOW", (0, 1), (-1, -1), 0.4, _LINE)]
    table = _table([head, *rows], widths, lines, repeat=1)
    caption = [Paragraph(escape(grid.caption), _style(8, 10.5, colour=_SOFT))] if grid.caption else []
    return [Spacer(1, 1.5 * mm), table, *caption, Spacer(1, 2 * mm)]


def _picture(plot: Plot) -> KeepTogether:
    stream = io.BytesIO()
    plot.figure.savefig(stream, format="png", dpi=_DPI)
    stream.seek(0)
    width, height = plot.figure.get_size_inches()
    picture = Image(stream, width=_WIDTH, height=_WIDTH * float(height) / float(width))
    return KeepTogether([Spacer(1, 2 * mm), picture, Paragraph(escape(plot.caption), _style(8, 10.5, colour=_SOFT))])
