"""The look of every figure: one palette, one size, one type, and SVG files that are legible in light and in dark.

The stems' colours are here, the systems' in the rows of `separate.SEPARATORS` and `experiments.catalogue.ORACLES`. All
have a contrast of 3:1 or more with a white and with a dark page, and no two of them are alike (a test measures both).
"""

import base64
import io
import re
from xml.etree import ElementTree

STEMS = {"drums": "#e66a00", "bass": "#0072b2", "other": "#6f6900", "vocals": "#009e73"}
GREY = MIXTURE = "#767676"
LINES = ("#497590", "#d13fd1", "#975553", "#05930b", "#8f945f")
"""Curves that belong to no stem and no system, and systems whose row has no colour of its own, in turn."""
INK = "#010203"
"""Text, axes and whatever else has the colour of the page's text: `currentColor` in an SVG, black in a PNG. What stands
on a light ground of its own, such as words in a box, is plain "black"."""

WIDTH = 7.5  # inches: 720 px, the width of a page's text
TYPE = 13  # points: 9 px where the page is 420 px wide; a wide page shows it smaller
SHRINK, WIDE = 0.8, 600  # by how much, and from which width of the page, in px
DPI = 110  # of what is a picture inside a figure, such as a spectrogram
IN_AN_IMAGE = "#757575"  # legible on white and on black: a figure in an <img> knows nothing of the page's colours

PARAMETERS = {
    "figure.facecolor": "none",
    "figure.dpi": 96,
    "font.size": TYPE,
    **dict.fromkeys(("axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize"), TYPE),
    **dict.fromkeys(("legend.fontsize", "figure.titlesize", "figure.labelsize"), TYPE),
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.facecolor": "none",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": f"cycler(color={list(LINES)})",
    "axes.formatter.use_mathtext": False,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "path.simplify_threshold": 0.75,
    "svg.fonttype": "none",
}
"""Matplotlib's settings, by `figure`."""


def figure(rows=1, columns=1, height=3.0, **options):
    """Begin a figure in the style of the pages.

    Parameters
    ----------
    rows, columns : int
    height : float
        of the figure, in inches; its width is that of the page's text.
    **options
        of `matplotlib.pyplot.subplots`.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : matplotlib.axes.Axes or np.ndarray of them
    """
    import matplotlib.pyplot as plt

    plt.rcParams.update(PARAMETERS)
    return plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", **options)


def svg(figure, alt):
    """A figure as SVG that can stand in a page, in an <img> and in a notebook on GitHub.

    Its text is text, of `TYPE` or larger; what was drawn in `INK` has the colour of the page's text; the pictures in it
    are compressed; the background is transparent. Styles become attributes, since GitHub removes styles.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        what it shows, for those who cannot see it.

    Returns
    -------
    str
    """
    import matplotlib as mpl
    from matplotlib.text import Text

    smallest = TYPE * figure.get_figwidth() / WIDTH
    for text in figure.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), smallest))
    drawn, unsaid = io.StringIO(), dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": alt}):
        figure.savefig(drawn, format="svg", dpi=DPI, transparent=True, metadata=unsaid)
    ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
    root = ElementTree.fromstring(drawn.getvalue())
    used = set(re.findall(r'(?:url\(|href=")#(\w+)', drawn.getvalue()))
    for element in root.iter():
        _simplify(element, used)
    sizes = {element.get("font-size") for element in root.iter() if element.get("font-size")}
    small = "".join(f'.mss-figure [font-size="{s}"]{{font-size:{SHRINK * float(s[:-2]):g}px}}' for s in sorted(sizes))
    root[0][0].text = f"svg.mss-figure:root{{color:{IN_AN_IMAGE}}}@media(min-width:{WIDE}px){{{small}}}"
    width, height = (float(root.get(side)[:-2]) * 4 / 3 for side in ("width", "height"))
    root.attrib |= {"class": "mss-figure", "role": "img", "aria-label": alt, "width": f"{width:.0f}",
                    "height": f"{height:.0f}", "font-family": "system-ui,'Noto Sans',sans-serif",
                    "stroke-linejoin": "round", "stroke-linecap": "butt"}  # fmt: skip
    return ElementTree.tostring(root, encoding="unicode")


def _simplify(element, used):
    """Turn an element's style into attributes, and drop what only makes it longer."""
    style = dict(part.split(": ", 1) for part in element.attrib.pop("style", "").split("; ") if part)
    element.attrib |= style
    if "font" in style:  # Matplotlib before 3.11
        element.set("font-size", re.search(r"[\d.]+px", element.attrib.pop("font"))[0])
    element.attrib.pop("font-family", None)
    if element.get("id") not in used:
        element.attrib.pop("id", None)
    element.text, element.tail = (part if part and part.strip() else None for part in (element.text, element.tail))
    for name, value in list(element.items()):
        if name.endswith("}href"):
            element.attrib.pop(name)
            element.set("href", _small_picture(value) if value.startswith("data:") else value)
        elif name != "id":
            short = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), value)
            element.set(name, "currentColor" if value == INK else re.sub(r"\s*([MLQCz])\s*", r"\1", short))


def _small_picture(address):
    """A PNG file in a data: address as the smallest of it, WebP without loss, and WebP."""
    from PIL import Image

    png = base64.b64decode(address.partition(",")[2])
    files = {"png": png}
    for kind, options in {"webp": {"quality": 70}, "WebP": {"lossless": True}}.items():
        Image.open(io.BytesIO(png)).save(out := io.BytesIO(), "webp", method=6, **options)
        files[kind] = out.getvalue()
    kind, file = min(files.items(), key=lambda each: len(each[1]))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file).decode()}"
