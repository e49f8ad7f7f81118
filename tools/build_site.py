"""Render the report and the chapters as pages that need neither server nor network: python -m tools.build_site

The report becomes site/index.html, a notebook site/<folder>-<name>.html. Equations are set by MathJax, a copy of which
lies in site/assets/, beside the player and the words that the search looks through. Where a notebook could not show
something, the page says so in its place, and the command ends with 1.
"""

import argparse
import html
import json
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from common.files import atomic_path
from tools.notebooks import ROOT, all_notebooks, chapter_of, not_shown, repository

SITE = ROOT / "site"
HERE = Path(__file__).parent
PAGE = (HERE / "page.html").read_text()
MATHJAX = """\
<script>
window.MathJax = {
  tex: { inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], processEscapes: true, tags: "ams" },
  options: { enableMenu: false, ignoreHtmlClass: "highlight|output_text|mss-player|tools" },
  svg: { fontCache: "global" },
};
</script>
<script defer src="assets/mathjax.js"></script>"""


def page_name(path):
    """File name of a notebook's page."""
    relative = path.relative_to(ROOT).with_suffix("")
    return "index.html" if str(relative) == "main_report" else "-".join(relative.parts) + ".html"


def title_of(notebook):
    """The first heading."""
    return re.search(r"^#\s+(.+)$", notebook.cells[0].source, re.MULTILINE).group(1).strip()


def prepared(notebook):
    """The notebook without the player's program, and with a box in place of each traceback: what failed, in words."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs = [
            o for o in cell.outputs if "<script data-mss-player>" not in o.get("data", {}).get("text/html", "")
        ]
        for output in cell.outputs:
            if output.output_type == "error":
                words = html.escape(f"{output.ename}: {output.evalue}")
                box = f'<p class="failed" role="alert"><b>This could not be shown.</b> {words}</p>'
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
    body = exporter.from_notebook_node(prepared(notebook))[0]
    body = re.sub(r'<p class="mss-elsewhere">.*?</p>', "", body, flags=re.DOTALL)
    body = re.sub(r'<img[^>]*src="https://colab[^>]*>', "Open this page as a notebook on Colab", body)
    for path in all_notebooks():  # links between notebooks lead to their pages
        body = body.replace(f'href="{path.relative_to(ROOT).as_posix()}"', f'href="{page_name(path)}"')
        body = body.replace(f'href="../{path.relative_to(ROOT).as_posix()}"', f'href="{page_name(path)}"')
    body = re.sub(r"<table\b.*?</table>", r'<div class="scroll">\g<0></div>', body, flags=re.DOTALL)
    return _with_described_pictures(body)


def _with_described_pictures(body):
    pieces = re.split(r"(<h[1-4][^>]*>.*?</h[1-4]>)", body, flags=re.DOTALL)
    heading = ""
    for i, piece in enumerate(pieces):
        if i % 2:
            heading = _words(piece)
        else:
            alt = html.escape(f"Figure: {heading}")
            piece = piece.replace('alt="No description has been provided for this image"', f'alt="{alt}"')
            pieces[i] = re.sub(r"<img(?![^>]*\balt=)", f'<img alt="{alt}"', piece)
    return "".join(pieces)


def _words(markup):
    """What a reader reads of some HTML: no tags, no anchors, no pictures."""
    markup = re.sub(r'<a class="anchor-link".*?</a>|<(style|script|svg)\b.*?</\1>', " ", markup, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", markup))).strip()


def headings_of(body):
    """(level, anchor, inner HTML without its anchor link) of the second- and third-level headings of a page."""
    return [
        (level, anchor, re.sub(r'<a class="anchor-link".*?</a>', "", inner, flags=re.DOTALL))
        for level, anchor, inner in re.findall(r'<h([23])[^>]*id="([^"]+)"[^>]*>(.*?)</h\1>', body, re.DOTALL)
    ]


def contents_of(body):
    """Links to the second- and third-level headings of a page, as HTML."""
    return "\n".join(
        f'<li class="level-{level}"><a href="#{anchor}">{re.sub(r"<(?!/?code)[^>]+>", "", inner)}</a></li>'
        for level, anchor, inner in headings_of(body)
    )


def sections_of(body, page, title):
    """What the search looks through: the words of each section of a page, with its heading and its address."""
    pieces = re.split(r'<h[23][^>]*id="([^"]+)"[^>]*>(.*?)</h[23]>', body, flags=re.DOTALL)
    sections = [{"page": page, "anchor": "", "title": title, "heading": title, "text": _words(pieces[0])}]
    for anchor, heading, text in zip(pieces[1::3], pieces[2::3], pieces[3::3]):
        sections.append(
            {"page": page, "anchor": anchor, "title": title, "heading": _words(heading), "text": _words(text)}
        )
    return sections


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
    style = (HERE / "page.css").read_text()
    return f"{style}\n{light}\n{chosen}\n@media (prefers-color-scheme: dark) {{\n{wished}\n}}\n"


def turn(paths, titles, path):
    """Links to the page before and the page after, as HTML."""
    at = paths.index(path)
    links = ""
    for other, words, rel in ((at - 1, "← Before this", "prev"), (at + 1, "After this →", "next")):
        if 0 <= other < len(paths):
            link = f'<a href="{page_name(paths[other])}" rel="{rel}"><span>{words}</span>'
            links += f"{link}{html.escape(titles[paths[other]])}</a>\n"
    return links


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
    shutil.copyfile(mathjax(), assets / "mathjax.js")
    for source in (HERE / "page.js", HERE.parent / "player" / "player.js", HERE.parent / "player" / "player.css"):
        shutil.copyfile(source, assets / source.name)
    (assets / "page.css").write_text(styles())
    notebooks = {path: nbformat.read(executed.get(path, path), as_version=4) for path in all_notebooks()}
    titles = {path: title_of(notebook) for path, notebook in notebooks.items()}
    pages, sections, failures = [], [], []
    for path, notebook in notebooks.items():
        name = page_name(path)
        failures += [f"{name}: {what}" for what in not_shown(notebook)]
        body = body_of(notebook)
        chapters = ""
        for other, title in titles.items():
            current = " aria-current=page" if other == path else ""
            link = f'<a href="{page_name(other)}"{current}>{html.escape(title)}</a>'
            chapters += f"<li><span>{chapter_of(other)}</span>{link}</li>\n"
        page = PAGE
        for mark, content in {
            "title": html.escape(titles[path]),
            "mathjax": MATHJAX
            if re.search(r"\$|\\\(|\\begin\{", re.sub(r"<pre.*?</pre>", "", body, flags=re.S))
            else "",
            "chapters": chapters,
            "contents": contents_of(body),
            "turn": turn(list(titles), titles, path),
            "repository": repository(),
            "body": body,
        }.items():
            page = page.replace("{{" + mark + "}}", content)
        with atomic_path(site / name) as temporary:
            temporary.write_text(page)
        pages.append(site / name)
        sections += sections_of(body, name, titles[path])
    words = json.dumps(sections, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    (assets / "search.js").write_text(f"window.SECTIONS = {words};\n")
    return pages, failures


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.build_site", description=__doc__.split("\n")[0])
    parser.add_argument("--report", type=Path, help="an executed copy of main_report.ipynb to show in its place")
    parser.add_argument("--to", type=Path, default=SITE, help="folder for the pages (default: site)")
    options = parser.parse_args(arguments)
    if options.report and not options.report.is_file():
        print(f"tools.build_site: --report: {options.report} is no file", file=sys.stderr)
        return 2
    pages, failures = build({ROOT / "main_report.ipynb": options.report} if options.report else None, options.to)
    size = sum(file.stat().st_size for file in options.to.rglob("*") if file.is_file())
    print(
        f"wrote {options.to.name}/: {len(pages)} pages, {size / 2**20:.1f} MB; begin with {options.to.name}/index.html"
    )
    for failure in failures:
        print(f"tools.build_site: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
