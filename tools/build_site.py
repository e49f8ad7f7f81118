"""Render the report and the chapters as pages that need neither server nor network: python -m tools.build_site

The report becomes site/index.html, a notebook site/<folder>-<name>.html. Equations are set by MathJax, a copy of which
lies in site/assets/.
"""

import argparse
import html
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from audio_processing.files import atomic_path
from tools.notebooks import ROOT, all_notebooks, repository

SITE = ROOT / "site"
PAGE = (Path(__file__).parent / "page.html").read_text()
STYLE = (Path(__file__).parent / "page.css").read_text()


def page_name(path):
    """File name of a notebook's page."""
    relative = path.relative_to(ROOT).with_suffix("")
    return "index.html" if str(relative) == "main_report" else "-".join(relative.parts) + ".html"


def title_of(notebook):
    """The first heading."""
    return re.search(r"^#\s+(.+)$", notebook.cells[0].source, re.MULTILINE).group(1).strip()


def body_of(notebook):
    """The cells as HTML. The badge becomes a link in words: its picture would come from another host."""
    exporter = HTMLExporter(
        template_name="basic",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        config=Config({"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": ["hide-input"]}}),
    )
    body = exporter.from_notebook_node(notebook)[0]
    body = re.sub(r'<img[^>]*src="https://colab[^>]*>', "Open this page as a notebook on Colab", body)
    for path in all_notebooks():  # links between notebooks lead to their pages
        body = body.replace(f'href="{path.relative_to(ROOT).as_posix()}"', f'href="{page_name(path)}"')
        body = body.replace(f'href="../{path.relative_to(ROOT).as_posix()}"', f'href="{page_name(path)}"')
    return body.replace("<table>", '<table class="shown">')


def contents_of(body):
    """Links to the second- and third-level headings of a page, as HTML."""
    links = []
    for level, anchor, inner in re.findall(r'<h([23])[^>]*id="([^"]+)"[^>]*>(.*?)</h\1>', body, re.DOTALL):
        words = re.sub(r'<a class="anchor-link".*?</a>', "", inner, flags=re.DOTALL)
        links.append(
            f'<li class="level-{level}"><a href="#{anchor}">{re.sub(r"<(?!/?code)[^>]+>", "", words)}</a></li>'
        )
    return "\n".join(links)


def mathjax():
    """Path of the one-file MathJax that the package sphinx-mathjax-offline carries."""
    files = metadata.files("sphinx-mathjax-offline") or []
    return next(Path(file.locate()) for file in files if file.name == "tex-svg-full.js")


def styles():
    """The pages' style, with highlighting for light and dark."""
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{STYLE}\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def build(executed=None, site=SITE):
    """Render every notebook; `executed` maps a notebook's path to the executed copy to show in its place.

    Returns
    -------
    list of Path
        the pages written.
    """
    executed = executed or {}
    shutil.rmtree(site, ignore_errors=True)
    assets = site / "assets"
    assets.mkdir(parents=True)
    shutil.copyfile(mathjax(), assets / "mathjax.js")
    (assets / "page.css").write_text(styles())
    notebooks = {path: nbformat.read(executed.get(path, path), as_version=4) for path in all_notebooks()}
    titles = {path: title_of(notebook) for path, notebook in notebooks.items()}
    written = []
    for path, notebook in notebooks.items():
        body = body_of(notebook)
        chapters = ""
        for other, title in titles.items():
            current = " aria-current=page" if other == path else ""
            chapters += f'<li><a href="{page_name(other)}"{current}>{html.escape(title)}</a></li>\n'
        page = PAGE
        for name, content in {
            "title": html.escape(titles[path]),
            "chapters": chapters,
            "contents": contents_of(body),
            "body": body,
            "repository": repository(),
        }.items():
            page = page.replace("{{" + name + "}}", content)
        with atomic_path(site / page_name(path)) as temporary:
            temporary.write_text(page)
        written.append(site / page_name(path))
    return written


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.build_site", description=__doc__.split("\n")[0])
    parser.add_argument("--report", type=Path, help="an executed copy of main_report.ipynb to show in its place")
    options = parser.parse_args(arguments)
    written = build({ROOT / "main_report.ipynb": options.report} if options.report else None)
    print("wrote", ", ".join(str(path.relative_to(ROOT)) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
