"""Captions of figures, tables and players: a number, a title that states the takeaway, and where to look or listen."""

import html
import re

LEAD = re.compile(r"((Figure|Table|Player) (\d+)\. .*?[.!?])(?=\s|$)", re.DOTALL)
"""Kind, number and title at the beginning of a caption."""
_numbers = {}
"""Kind → title → number, of what this process has shown."""


def numbered(kind, title, look="", number=None):
    """A caption as text: "Table 2. Title. Look at …".

    Parameters
    ----------
    kind : {"Figure", "Table", "Player"}
    title : str
        the takeaway, as a sentence.
    look : str
        what to look at, or listen for.
    number : int, optional
        by default the next one of its kind in this notebook; what is shown again keeps its number.

    Returns
    -------
    str
    """
    if not title.strip():
        raise ValueError(f"title: expected a sentence that states what the {kind.lower()} shows, got {title!r}")
    known = _numbers.setdefault(kind, {})
    number = known[title] = number or known.get(title) or max(known.values(), default=0) + 1
    ending = "" if title.endswith((".", "!", "?")) else "."
    return f"{kind} {number}. {title}{ending} {look}".rstrip()


def as_html(caption):
    """A caption as HTML; kind, number and title are bold."""
    return re.sub(rf"^{LEAD.pattern}", r"<b>\1</b>", html.escape(caption), flags=re.DOTALL)


def as_markdown(caption):
    """A caption as Markdown; kind, number and title are bold."""
    return re.sub(rf"^{LEAD.pattern}", r"**\1**", caption, flags=re.DOTALL)


def figure(picture, caption):
    """A picture with its caption, as HTML that the text can link to by kind and number: `#figure-3`."""
    lead = LEAD.match(caption)
    anchor = f' id="{lead[2].lower()}-{lead[3]}"' if lead else ""
    return f'<figure class="mss-captioned"{anchor}>{picture}<figcaption>{as_html(caption)}</figcaption></figure>'


def with_caption(table, caption):
    """An HTML table or player with a caption in place of its own; unchanged if there is none to put there."""
    if caption is None:
        return table
    bare = re.sub(r"<caption>.*?</caption>\n?", "", table, flags=re.DOTALL)
    return re.sub(r"(<table[^>]*>)", lambda tag: f"{tag[0]}\n<caption>{as_html(caption)}</caption>", bare, count=1)
