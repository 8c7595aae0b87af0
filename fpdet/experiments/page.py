"""One self-contained HTML page; everything printed into it is escaped."""

import base64
from html import escape

from fpdet.experiments.config import config_text

STYLE = """<style>
body{font:16px/1.5 system-ui,sans-serif;color:#2b2b2b;max-width:64rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0;font-size:.9rem}
th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid #e4e4e4}
th:first-child,td:first-child{text-align:left}.wide{overflow-x:auto}img{max-width:100%}
.good{color:#217a4b}.bad{color:#b00020}
code,pre{font-size:.85rem;background:#f6f6f6;padding:.1rem .3rem}pre{padding:.8rem;overflow-x:auto}small{color:#666}
</style>"""


def head(title):
    """The opening of a page."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">{STYLE}'
    )


def table(headings, rows):
    """A table."""
    top = "".join(f"<th>{escape(str(heading))}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def page(title, about, verdict, pictures, sections, settings):
    """The report of a run: verdict, pictures (PNG bytes by name), sections, settings."""
    good, sentence = verdict
    parts = [head(title), f"<h1>{escape(title)}</h1><p>{escape(about)}.</p>"]
    parts.append(f'<p class="{"good" if good else "bad"}">{escape(sentence)}</p>')
    for name, png in pictures.items():
        parts.append(f'<img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">')
    for heading, body in sections:
        parts.append(f"<h2>{escape(heading)}</h2>")
        if isinstance(body, str):
            parts.append(f"<p>{escape(body)}</p>")
        else:
            parts.append(f'<div class="wide">{table(*body)}</div>')
    parts.append(f"<h2>Settings</h2><pre>{escape(config_text(settings))}</pre></html>\n")
    return "".join(parts)


def markdown(headings, rows):
    """A table in Markdown."""
    lines = ["| " + " | ".join(map(str, headings)) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
