"""How the pages are written, checked: python -m tools.prose [PAGE …] [--report]

PAGE is a notebook or a Markdown file; by default the pages of `BOUND`, which must be free of errors. The check reads
what a reader reads: text, and in code cells the templates of `display.text`, captions, titles and alternative texts.
Its rules and words stand in prose.toml.

An exception stands in its cell, with a reason: <!-- prose: allow WORD or rule: reason -->, in code # prose: allow ….
"""

import ast
import html
import json
import re
import sys
import tomllib
from collections import Counter, namedtuple
from pathlib import Path

from common.command import options_of
from common.places import ROOT
from common.terminal import ended

# at most: words of a sentence, on average over a page, numbers of a paragraph, negations of a sentence
LONGEST, MEAN, NUMBERS, NEGATIONS = 35, 17, 4, 1

# folds: whether the limit on sentences holds in folded text, too
Page = namedtuple("Page", "path folds", defaults=(True,))
BOUND = ()  # the pages that must be free of errors
# kind: text, heading, entry (of a table), caption or output
Passage = namedtuple("Passage", "cell kind text folded", defaults=(False,))
# match: what an exception may name in place of the rule
Finding = namedtuple("Finding", "cell level rule match advice sentence", defaults=("",))
# advice: (level, advice) for each group of the pattern, or for all of it; everywhere: in headings, tables, outputs, too
Rule = namedtuple("Rule", "name pattern advice everywhere")

NEGATION = re.compile(r"(?i)\b(?:no(?! \d)|not|never|none|nobody|nothing|neither|nowhere|cannot|\w+n['’]t)\b")
NUMBER = re.compile(  # no years, and none of sections and figures
    r"(?<![\w.])(?<!ection )(?<!ections )(?<!hapter )(?<!igure )(?<!able )(?<!layer )(?<!xercise )"
    r"(?!(?:19[5-9]|20[0-3])\d\b)\d[\d,]*(?:\.\d+)?(?![\w.]*\w)"
)
ABBREVIATED = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|al|approx|resp|Figs?|Eq|Sec|Ch|No|St|Dr|Prof|[A-Z])\.$")
ENDED = re.compile(r"(?:(?<=[.!?…])|(?<=[.!?…][\"”’')\]]))\s+(?=[\"“‘'(\[]*[A-Z\d‹])|(?<=[a-z]{3}\.)\s+(?=[a-z])")
BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-+•]|\d+[.)])\s)|\n(?=[#|>])|(?<=\|)\n")
EXCEPTION = re.compile(r"(?:<!--|#)\s*prose: allow\s+([^:\n]+?)\s*(?::\s*(\S.*?))?\s*(?:-->|$)", re.MULTILINE)
CAPTION = re.compile(r"(Figure|Table|Player) (\d+)\. ")


def _rules():
    about = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    for rule in about["rule"]:
        pattern = re.compile(rule["pattern"].replace("\n", ""))
        yield Rule(rule["name"], pattern, [(rule["level"], rule["advice"])], rule.get("everywhere", False))
    any_of = "|".join(f"({pattern})" for pattern in [*about["house"], *about["doubtful"]])
    advice = [
        (level, each)
        for level, words in (("error", "house"), ("warning", "doubtful"))
        for each in about[words].values()
    ]
    yield Rule("word", re.compile(rf"(?i)(?<![\w-])(?:{any_of})(?![\w-])"), advice, True)


RULES = tuple(_rules())

# --- from a page to sentences ---------------------------------------------------------------------------------------


def cells_of(path):
    """The cells of a notebook, or the sections of a Markdown file as text cells, as dicts."""
    if path.suffix == ".ipynb":
        return [cell | {"source": "".join(cell["source"])} for cell in json.loads(path.read_text())["cells"]]
    sections = re.split(r"(?m)^(?=#{1,3} )", path.read_text())
    return [{"cell_type": "markdown", "source": section} for section in sections if section]


def _formula(match):
    """What a displayed formula leaves: a word that ends its sentence, or that the rest of the sentence follows."""
    goes_on = match.string[match.end() : match.end() + 1].islower()
    return " ‹formula›" + (" " if goes_on else ".\n\n" if match[1].rstrip().endswith(".") else "\n\n")


def _value(match):
    """A number like the one that takes the place of a template's field, or a word if its format is not a number's."""
    name, _, form = match[1].rpartition(":")
    return "1.5" if re.search(r"\.[1-9]\d*[f%]", form) else "7" if name or match[1].startswith(":") else "‹value›"


CLEANED = (
    (r"(?s)<!--.*?-->|<(script|style|svg)\b.*?</\1>", " "),
    (r"(?s)(```|~~~).*?(?:\1|$)", "\n\n"),
    (r"\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)|!\[[^\]]*\]\([^)]*\)", " "),  # badges and pictures
    (r"(?s)\s*\$\$(.*?)\$\$\s*", _formula),
    (r"(``?)[^`]+\1", "‹code›"),
    (r"(?<!\\)\$[^$]+\$", "‹math›"),
    (r"<summary>(.*?)</summary>", r"\n\n# \1\n\n"),
    (r"\{([^{}\n]*)\}", _value),
    (r"\[([^\]]+)\]\([^)]*\)", r"\1"),
    (r"<[^>]+>", " "),
    (r"(?<!\\)\*+|(?<![\w\\])_+(?=\w)|(?<=\w)_+(?!\w)|\\(?=[_*#])", ""),
    (r"&#?\w+;", lambda match: html.unescape(match[0])),
)


def blocks(source, cell=0):
    """The paragraphs, list items, headings and table entries of some Markdown; code and formulas become words."""
    for i, part in enumerate(re.split(r"(?s)<details[^>]*>(.*?)</details>", source)):
        for pattern, replacement in CLEANED:
            part = re.sub(pattern, replacement, part)
        for block in BLOCK.split(part):
            words = " ".join(re.sub(r"^\s*(?:[-+•>]|\d+[.)])\s", "", block).split())
            kind = {"#": "heading", "|": "entry"}.get(words[:1], "text")
            for entry in words.split("|") if kind == "entry" else [words.lstrip("# ")]:
                if re.search(r"[^\W\d]", entry):
                    yield Passage(cell, kind, entry.strip(), bool(i % 2))


def _string(node):
    """A string of some code, as a template."""
    if isinstance(node, ast.BinOp):
        return _string(node.left) + _string(node.right)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_string, node.values))
    if isinstance(node, ast.FormattedValue):
        return "{:" + _string(node.format_spec) + "}" if node.format_spec else "{}"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def spoken(source, cell=0):
    """What the code of a cell shows as prose: templates of `display.text`, captions, titles, alternative texts."""
    tree = ast.parse(re.sub(r"(?m)^\s*[%!].*", "", source))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        captions = [word.value for word in call.keywords if word.arg in ("caption", "title", "look", "alt")]
        shown = {"numbered": call.args[1:3], "set_title": call.args[:1], "suptitle": call.args[:1]}
        for caption in captions + shown.get(name.rpartition(".")[2], []):
            yield from (passage._replace(kind="caption") for passage in blocks(_string(caption), cell))
        yield from blocks(_string(call.args[0]), cell) if name == "display.text" and call.args else ()


def passages(cells):
    """All prose of a page, but for its list of references."""
    in_references = False
    for number, cell in enumerate(cells, 1):
        for passage in (blocks if cell["cell_type"] == "markdown" else spoken)(cell["source"], number):
            if passage.kind == "heading":
                in_references = bool(re.search(r"\b(?:References|Literature)\b", passage.text))
            if not in_references:
                yield passage
        for output in cell.get("outputs", []):
            shown = re.sub(r"</(?:t[hd]|caption)>", "\n\n", "".join(output.get("data", {}).get("text/html", "")))
            yield from (passage._replace(kind="output") for passage in blocks(shown, number))


def sentences(text):
    """The sentences of a passage, as strings."""
    made = [""]
    for piece in ENDED.split(text):
        made[-1] = f"{made[-1]} {piece}".strip()
        if not ABBREVIATED.search(piece):
            made.append("")
    return [sentence for sentence in made if sentence]


def count(sentence):
    """Words of a sentence; a formula, a number and a piece of code are one each."""
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())


# --- what is wrong ----------------------------------------------------------------------------------------------------


def findings(page, cells):
    """Everything that is wrong with a page, but for what its exceptions excuse, as a list of `Finding`s."""
    read = list(passages(cells))
    found = [finding for passage in read for finding in _of_passage(passage, page.folds)]
    found += [*_of_outputs(cells), *_of_references(cells, read)]
    if (mean := statistics(read)["mean"]) > MEAN:
        found.append(Finding(1, "error", "mean", "", f"expected {MEAN} words a sentence at most, got {mean:.1f}"))
    found, excused = list(dict.fromkeys(found)), set()
    for number, cell in enumerate(cells, 1):
        for name, reason in EXCEPTION.findall(cell["source"]):
            these = {f for f in found if f.cell == number and name.lower() in (f.rule, f.match.lower())}
            excused |= these if reason else set()
            if not reason or not these:
                advice = "it excuses nothing in this cell" if reason else "expected a reason behind a colon, got none"
                found.append(Finding(number, "error", "exception", name, advice))
    return sorted((f for f in found if f not in excused), key=lambda f: f.cell)


def _of_passage(passage, folds):
    prose = passage.kind in ("text", "caption")
    for sentence in sentences(passage.text):
        if prose and (words := count(sentence)) > LONGEST and (folds or not passage.folded):
            yield Finding(passage.cell, "error", "long", "", f"expected {LONGEST} words at most, got {words}", sentence)
        if prose and (many := len(NEGATION.findall(sentence))) > NEGATIONS:
            yield Finding(passage.cell, "warning", "negations", "", f"{many} of them; say it positively", sentence)
        for rule in RULES:
            for match in rule.pattern.finditer(sentence) if prose or rule.everywhere else ():
                level, advice = rule.advice[(match.lastindex or 1) - 1]
                yield Finding(passage.cell, level, rule.name, match[0], advice, sentence)
    if passage.kind == "text" and (many := len(NUMBER.findall(passage.text))) > NUMBERS:
        advice = f"{many} in a paragraph; draw a figure or a table"
        yield Finding(passage.cell, "warning", "numbers", "", advice, passage.text)


def _of_outputs(cells):
    """Figures, tables and players without number and title, and figures without alternative text."""
    advice = "no number, title or alternative text; `display.figure` and `display.numbered` give them"
    for number, cell in enumerate(cells, 1):
        if "|--" in cell["source"] and not CAPTION.search(cell["source"]):
            yield Finding(number, "error", "table", "", advice)
        for output in cell.get("outputs", []):
            data, about, named = output.get("data", {}), output.get("metadata", {}), _captions(output)
            pictures, markup = [kind for kind in data if kind.startswith("image/")], "".join(data.get("text/html", ""))
            if pictures and not (named and all(about.get(kind, {}).get("alt") for kind in pictures)):
                yield Finding(number, "error", "figure", "", advice)
            if "<table" in markup and not named:
                yield Finding(number, "error", "player" if "mss-player" in markup else "table", "", advice)


def _captions(outputs):
    """(kind, number) of the figures, tables and players among outputs, as a set."""
    return set(CAPTION.findall(json.dumps(outputs)))


def _of_references(cells, read):
    """Numbers of figures, tables and players in the text that the page does not have; "Figure 2 of …" is another's."""
    shown = _captions([cell["source"] if "|--" in cell["source"] else cell.get("outputs") for cell in cells])
    for passage in read:
        for which in re.findall(r"(Figure|Table|Player) (\d+)\b(?! (?:of|in) )", passage.text):
            if passage.kind == "text" and which not in shown:
                yield Finding(passage.cell, "error", "number", " ".join(which), "the page has none", passage.text)


def statistics(read):
    """What `--report` prints of a page's passages, as a dict."""
    text = [passage.text for passage in read if passage.kind == "text"]
    each = [sentence for block in text for sentence in sentences(block)]
    lengths = [count(sentence) for sentence in each] or [0]
    hundreds = sum(lengths) / 100 or 1
    return {
        "words": sum(lengths),
        "sentences": len(each),
        "mean": sum(lengths) / len(lengths),
        "longest": max(lengths),
        f"> {LONGEST}": sum(length > LONGEST for length in lengths),
        "negations/100": sum(len(NEGATION.findall(sentence)) for sentence in each) / hundreds,
        "what-clauses": sum(len(re.findall(r"(?i)\bwhat(?:ever)?\b", s)) for s in each if not s.endswith("?")),
        "decimals/100": sum("." in number for block in text for number in NUMBER.findall(block)) / hundreds,
        f"> {NUMBERS} numbers": sum(len(NUMBER.findall(block)) > NUMBERS for block in text),
    }


def report(paths):
    """A table of the statistics of some pages, as text."""
    rows = {path.name: statistics(list(passages(cells_of(path)))) for path in paths}
    head = " " * 28 + "".join(f"{name:>15}" for name in next(iter(rows.values())))
    lines = [f"{page:28}" + "".join(f"{x:15.4g}" for x in row.values()) for page, row in rows.items()]
    return "\n".join([head, *lines])


def main(arguments=None):
    options = options_of(
        "tools.prose",
        __doc__,
        {
            "pages": dict(nargs="*", type=Path, help="notebooks or Markdown files (default: those of BOUND)"),
            "--report": dict(action="store_true", help="print a table of statistics (default: of every page)"),
        },
        arguments,
    )
    if options.report:
        notebooks = [*sorted(ROOT.glob("*.ipynb")), *sorted(ROOT.glob("[a-z]*/*.ipynb"))]
        print(report(options.pages or [ROOT / "README.md", *notebooks]))
        return 0
    bound = {ROOT / page.path: page for page in BOUND}
    levels = Counter()
    for path in [path.resolve() for path in options.pages] or bound:
        for cell, level, rule, match, advice, sentence in findings(bound.get(path, Page(path)), cells_of(path)):
            levels[level] += 1
            match, sentence = f" “{match}”" if match else "", f"\n    {sentence}" if sentence else ""
            print(f"{path.name}, cell {cell}: {level} {rule}{match}: {advice}{sentence}")
    print(f"tools.prose: {levels['error']} errors, {levels['warning']} warnings", file=sys.stderr)
    return 1 if levels["error"] else 0


if __name__ == "__main__":
    sys.exit(ended("tools.prose", main))
