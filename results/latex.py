r"""Text for LaTeX: what it would trip over is escaped, and letters of any script survive in every engine.

pdfLaTeX knows no letters but Latin ones, XeLaTeX and LuaLaTeX those of their font. So a word of another script becomes
``\dirbenchtext{word}{first code point}{all code points}``, which shows the word where the font has it and else, in
brackets, the code points, with a note that says so.
"""

from __future__ import annotations

import itertools
import re
import unicodedata

_ESCAPED = {
    "\\": r"\textbackslash{}", "_": r"\_", "&": r"\&", "%": r"\%", "#": r"\#", "$": r"\$", "{": r"\{",
    "}": r"\}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "`": r"\textasciigrave{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "±": r"$\pm$", "†": r"\dag{}", "‡": r"\ddag{}", "°": r"$^\circ$", "–": "--", "·": r"$\cdot$", "−": "$-$",
    "×": r"$\times$", "…": r"\dots{}", "≥": r"$\geq$", "≤": r"$\leq$"}
_LIGATURES = "-,'"  # two of them in a row become another sign

# \@nodocument is \relax once a document has begun: so a file knows whether it is being \input or compiled by itself.
# \Umathcode exists in XeTeX and LuaTeX only.
_PREAMBLE = r"""% Compile it as it is, or \input it in a document that loads booktabs and graphicx.
\expandafter\ifx\csname @nodocument\endcsname\relax
\def\dirbenchend{}
\else
\def\dirbenchend{\end{document}}
\documentclass{article}
\ifdefined\Umathcode\else
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\fi
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
"""
_FONT = r"""\ifdefined\Umathcode
\usepackage{fontspec}
\IfFontExistsTF{DejaVu Sans}{\newfontfamily\dirbenchfont{DejaVu Sans}}{%
\IfFontExistsTF{DejaVuSans.ttf}{\newfontfamily\dirbenchfont{DejaVuSans.ttf}}{}}
\fi
"""
_BEGIN = r"""\pagestyle{empty}
\begin{document}
\fi
"""
_OTHER_SCRIPTS = r"""
% \dirbenchtext{word}{first code point}{code points} is the word where the font has it, else its code points.
% Use XeLaTeX or LuaLaTeX for the words; with a font of your own, \let\dirbenchfont be the command that selects it.
\ifdefined\dirbenchfont\else\let\dirbenchfont\relax\fi
\def\dirbenchnote{}
\def\dirbenchcodes#1{[#1]\gdef\dirbenchnote{\par\footnotesize In brackets: the Unicode code points of letters that
this font does not have; XeLaTeX or LuaLaTeX shows them, with a font that has them.}}
\ifdefined\Umathcode
\protected\def\dirbenchtext#1#2#3{\iffontchar\font"#2 #1\else{\dirbenchfont
\iffontchar\font"#2 #1\else\dirbenchcodes{#3}\fi}\fi}
\else
\protected\def\dirbenchtext#1#2#3{\dirbenchcodes{#3}}
\fi
"""


def document(body: str) -> str:
    """``body`` as a file that compiles by itself and can be ``\\input`` as well; its minipage has the table's notes."""
    foreign = r"\dirbenchtext{" in body
    body = body.replace(r"\end{minipage}", "\\dirbenchnote\n\\end{minipage}") if foreign else body
    before = _PREAMBLE + _FONT * foreign + _BEGIN + _OTHER_SCRIPTS * foreign
    return before + body + "\\dirbenchend\n"


def latex(text: str) -> str:
    """``text`` for LaTeX. Characters that are no text (control characters, unpaired surrogates) become "?"."""
    out: list[str] = []
    for script, run in itertools.groupby(unicodedata.normalize("NFC", text), _script):
        word = "".join(run)
        if script:
            codes = [f"{ord(c):04X}" for c in word]
            out.append(rf"\dirbenchtext{{{word}}}{{{codes[0]}}}{{{' '.join(codes)}}}")
        else:
            out.append(_latin(word))
    return "".join(out)


def latex_caption(text: str) -> str:
    r"""``\caption`` with ``text``; a list of tables, which comes before ``\dirbenchtext`` is known, has code points."""
    caption = latex(text)
    plain = re.sub(r"\\dirbenchtext\{.*?\}\{.*?\}\{(.*?)\}", r"(\1)", caption)
    return rf"\caption{{{caption}}}" if plain == caption else rf"\caption[{{{plain}}}]{{{caption}}}"


def latex_cell(text: str) -> str:
    """The cell of a table: lines of it are stacked."""
    parts = [latex(part) for part in text.split("\n")]
    # A cell that starts with "[" would be read as the optional argument of the line break before it.
    parts = [f"{{}}{part}" if part.startswith(("[", "*")) else part for part in parts]
    return parts[0] if len(parts) == 1 else r"\shortstack[r]{" + r" \\ ".join(parts) + "}"


def _latin(text: str) -> str:
    text = re.sub(rf"(?<=([{_LIGATURES}]))(?=\1)", "\0", text)
    out = (_ESCAPED.get(c) or (r"{\kern0pt}" if c == "\0" else " " if c.isspace() else c if c.isprintable() else "?")
           for c in text)
    return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", "".join(out))


def _script(c: str) -> str:
    """The script of a character that needs a font of its own; empty for what every LaTeX has."""
    if c in _ESCAPED or ord(c) < 128 or (ord(c) < 256 and c.isalpha()) or c.isspace() \
            or unicodedata.category(c) in ("Cc", "Cs"):
        return ""
    return unicodedata.name(c, "unnamed").split()[0]
