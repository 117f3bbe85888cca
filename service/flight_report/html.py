"""A report as one HTML file: styles and drawings (SVG) are in it, nothing is loaded from anywhere."""

from __future__ import annotations

import io
import re
from html import escape

from service.flight_report.document import Block, Document, Facts, Figures, Grid, Heading, Plot, Text, is_number

_STYLE = """
:root { color-scheme: light; --ink: #1b2733; --soft: #5b6b7a; --line: #d8e0e7; --tile: #f4f7f9; --mark: #0b63a5; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
header { border-bottom: 3px solid var(--mark); margin-bottom: 1.5rem; padding-bottom: .75rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .25rem; }
header p { color: var(--soft); margin: 0; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .6rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p { margin: .5rem 0; max-width: 48rem; } p.note { color: var(--soft); font-size: .9rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: .75rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.tiles div { background: var(--tile); border-left: 4px solid var(--mark); padding: .6rem .8rem; break-inside: avoid; }
.tiles b { display: block; font-size: 1.5rem; line-height: 1.2; } .tiles small { color: var(--soft); display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; margin: .5rem 0; min-width: 50%;
  font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; text-align: left; color: var(--soft); font-size: .85rem; padding-top: .35rem; }
th, td { padding: .28rem .65rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--line); vertical-align: bottom; }
td.n, th.n { text-align: right; white-space: nowrap; }
figure { margin: 1rem 0; break-inside: avoid; } figure svg { width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 48rem; }
@media print { main { max-width: none; padding: 0; } h2, h3 { break-after: avoid; } tr { break-inside: avoid; } }
"""


def write(document: Document) -> bytes:
    """The whole file."""
    body = "\n".join(_block(block, k) for k, block in enumerate(document.blocks))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(document.title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        f"<header><h1>{escape(document.title)}</h1><p>{escape(document.subtitle)}</p></header>\n{body}\n"
        "</main></body></html>\n"
    ).encode()


def _block(block: Block, number: int) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
        case Text():
            return f"<p{' class=note' if block.note else ''}>{escape(block.text)}</p>"
        case Facts():
            return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in block.rows) + "</dl>"
        case Figures():
            tiles = (
                f"<div><b>{escape(v)}</b>{escape(k)}<small>{escape(how)}</small></div>" for v, k, how in block.tiles
            )
            return f'<div class="tiles">{"".join(tiles)}</div>'
        case Grid():
            return _grid(block)
        case Plot():
            return f"<figure>{_svg(block, number)}<figcaption>{escape(block.caption)}</figcaption></figure>"


def _grid(grid: Grid) -> str:
    right = [any(is_number(row[k]) for row in grid.rows) for k in range(len(grid.header))]
    right[0] = False
    classes = [' class="n"' if each else "" for each in right]
    head = "".join(f"<th{c}>{escape(name)}</th>" for name, c in zip(grid.header, classes, strict=True))
    rows = (
        "<tr>" + "".join(f"<td{c}>{escape(cell)}</td>" for cell, c in zip(row, classes, strict=True)) + "</tr>"
        for row in grid.rows
    )
    caption = f"<caption>{escape(grid.caption)}</caption>" if grid.caption else ""
    table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _svg(plot: Plot, number: int) -> str:
    """The drawing, its ids made its own: several of them share one page."""
    stream = io.StringIO()
    plot.figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|url\(#|xlink:href="#|href="#)', rf"\g<1>f{number}-", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(plot.caption)}" ', 1)
