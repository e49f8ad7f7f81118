"""Render the report and the chapters as pages that need neither server nor network: python -m tools.build_site

The report becomes site/index.html, a notebook site/<folder>-<name>.html. Equations are set by MathJax, a copy of which
lies in site/assets/, beside the player and the words that the search looks through. Where a notebook could not show
something, the page says so in its place, and the command ends with 1.
"""

import html
import json
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

import nbformat
from jinja2 import Template
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from common.command import options_of
from common.files import atomic_path
from common.places import ROOT
from common.terminal import ended
from player import captions
from player.html import repository
from tools.notebooks import CHAPTERS, all_notebooks, name_of, not_shown

SITE = ROOT / "site"
HERE = Path(__file__).parent
HEADING = re.compile(r'<h(?P<level>[23])[^>]*id="(?P<anchor>[^"]+)"[^>]*>(?P<html>.*?)</h[23]>', re.DOTALL)


def page_name(path):
    """File name of a notebook's page."""
    name = name_of(path).removesuffix(".ipynb").replace("/", "-")
    return "index.html" if name == "main_report" else f"{name}.html"


def prepared(notebook):
    """The notebook without the player's program, and with a box in place of each traceback: what failed, in words."""
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        outputs[:] = [
            output
            for output in outputs
            if "<script data-mss-player>" not in output.get("data", {}).get("text/html", "")
            and "caption_of" not in output.get("metadata", {})
        ]
        for output in outputs:
            if caption := output.get("metadata", {}).get("caption"):  # a figure and, behind it, its caption
                output.data = {"text/html": captions.figure(output.data["image/svg+xml"], caption)}
            if output.output_type == "error":
                what = html.escape(f"{output.ename}: {output.evalue}")
                box = f'<p class="failed" role="alert"><b>This could not be shown.</b> {what}</p>'
                output.update(nbformat.v4.new_output("display_data", {"text/html": box}))
    return notebook


def body_of(notebook):
    """The cells as HTML, for a page that brings the player itself.

    The badge becomes a link in words, since its picture would come from another host; tables get a box to scroll in,
    pictures the heading under which they stand as their description.
    """
    exporter = HTMLExporter(
        template_name="basic",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        config=Config({"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": ["hide-input"]}}),
    )
    body, _ = exporter.from_notebook_node(prepared(notebook))
    for pattern, words in (
        (r'<p class="mss-elsewhere">.*?</p>', ""),
        (r'<img[^>]*src="https://colab[^>]*>', "Open this page as a notebook on Colab"),
        (r"<table\b.*?</table>", r'<div class="scroll">\g<0></div>'),
        # links between notebooks lead to their pages
        *((rf'href="(\.\./)?{re.escape(name_of(path))}"', f'href="{page_name(path)}"') for path in all_notebooks()),
    ):
        body = re.sub(pattern, words, body, flags=re.DOTALL)
    return _with_described_pictures(body)


def _with_described_pictures(body):
    pieces = re.split(r"(<h[1-4][^>]*>.*?</h[1-4]>)", body, flags=re.DOTALL)  # text, heading, text, heading, text, …
    for at in range(0, len(pieces), 2):
        alt = f'alt="{html.escape("Figure: " + (_words(pieces[at - 1]) if at else ""))}"'
        described = pieces[at].replace('alt="No description has been provided for this image"', alt)
        pieces[at] = f"<img {alt}".join(re.split(r"<img(?![^>]*\balt=)", described))
    return "".join(pieces)


def _words(markup):
    """What a reader reads of some HTML: no tags, no anchors, no pictures."""
    markup = re.sub(r'<a class="anchor-link".*?</a>|<(style|script|svg)\b.*?</\1>', " ", markup, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", markup))).strip()


def headings_of(body):
    """The second- and third-level headings of a page, as dicts: "level", "anchor" and "html", which keeps code only."""
    unwanted = re.compile(r'<a class="anchor-link".*?</a>|<(?!/?code)[^>]+>', re.DOTALL)
    return [{**match.groupdict(), "html": unwanted.sub("", match["html"])} for match in HEADING.finditer(body)]


def sections_of(body, page, title):
    """What the search looks through: the words of each section of a page, with its heading and its address."""
    pieces = [None, "", title, *HEADING.split(body)]  # of four each: level, anchor, heading, text
    return [
        {"page": page, "anchor": anchor, "title": title, "heading": _words(heading), "text": _words(text)}
        for anchor, heading, text in zip(pieces[1::4], pieces[2::4], pieces[3::4])
    ]


def mathjax():
    """Path of the one-file MathJax that the package sphinx-mathjax-offline carries."""
    files = metadata.files("sphinx-mathjax-offline") or []
    return next(Path(file.locate()) for file in files if file.name == "tex-svg-full.js")


def styles():
    """The pages' style, with highlighting for light and dark."""
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark")
    chosen = dark.get_style_defs(':root[data-theme="dark"] .highlight')
    wished = dark.get_style_defs(':root:not([data-theme="light"]) .highlight')
    return (
        f"{(HERE / 'page.css').read_text()}\n{light}\n{chosen}\n@media (prefers-color-scheme: dark) {{\n{wished}\n}}\n"
    )


def build(executed=None, site=SITE):
    """Render every notebook; `executed` maps a notebook's path to the executed copy to show in its place.

    Returns
    -------
    pages : list of Path
        those written.
    failures : list of str
        what a page could not show, each with the page's name; the page says so, too.
    """
    executed = executed or {}
    shutil.rmtree(site, ignore_errors=True)
    assets = site / "assets"
    assets.mkdir(parents=True)
    player = HERE.parent / "player"
    for source in (mathjax(), HERE / "page.js", player / "player.js", player / "player.css"):
        shutil.copyfile(source, assets / source.name.replace("tex-svg-full", "mathjax"))
    (assets / "page.css").write_text(styles())
    notebooks = {path: nbformat.read(executed.get(path, path), as_version=4) for path in all_notebooks()}
    pages = [
        {
            "name": page_name(path),
            "title": re.search(r"^#\s+(.+)$", notebook.cells[0].source, re.MULTILINE)[1].strip(),
            "chapter": CHAPTERS[name_of(path)],
        }
        for path, notebook in notebooks.items()
    ]
    template = Template((HERE / "page.html").read_text(), autoescape=True, trim_blocks=True)
    sections, failures = [], []
    for at, (page, notebook) in enumerate(zip(pages, notebooks.values())):
        failures += [f"{page['name']}: {what}" for what in not_shown(notebook)]
        body = body_of(notebook)
        sections += sections_of(body, page["name"], page["title"])
        about = {
            "pages": pages,
            "at": at,
            "headings": headings_of(body),
            "equations": re.search(r"\$|\\\(|\\begin\{", re.sub(r"<pre.*?</pre>", "", body, flags=re.DOTALL)),
        }
        with atomic_path(site / page["name"]) as temporary:
            temporary.write_text(template.render(**about, repository=repository(), body=body))
    words = json.dumps(sections, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    (assets / "search.js").write_text(f"window.SECTIONS = {words};\n")
    return [site / page["name"] for page in pages], failures


def main(arguments=None):
    options = options_of(
        "tools.build_site",
        __doc__,
        {
            "--report": dict(type=Path, help="an executed copy of main_report.ipynb to show in its place"),
            "--out": dict(type=Path, default=SITE, help="folder for the pages (default: site)"),
        },
        arguments,
    )
    if options.report and not options.report.is_file():
        print(f"tools.build_site: --report: {options.report} is no file", file=sys.stderr)
        return 2
    pages, failures = build({ROOT / "main_report.ipynb": options.report} if options.report else None, options.out)
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"wrote {options.out.name}/: {len(pages)} pages, {size / 2**20:.1f} MB; open {options.out.name}/index.html")
    for failure in failures:
        print(f"tools.build_site: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(ended("tools.build_site", main))
