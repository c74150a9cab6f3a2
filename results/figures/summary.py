"""The summary figure: every headline score of every method, with its interval, between chance, baseline and ceiling."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Collection, Mapping
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from dirbench.results.figure import FigureKind
from dirbench.results.figures.glyphs import FONT, drawable
from dirbench.results.source import Source, whole_words
from dirbench.results.statistics.summary import Entry, Summary
from dirbench.results.statistics.summary import gaps as gaps_of
from dirbench.results.table import DAGGER

# Okabe and Ito's colours: told apart by all common kinds of colour vision; roles differ in shape as well.
INK, BAND_COLOUR = "#222222", "#D9D9D9"
STYLES = {"baseline": ("#D55E00", "s"), "ceiling": ("#009E73", "^"), "method": ("#0072B2", "o")}
LABELS, LETTER, PANEL, ROW = 1.5, 0.065, 1.75, 0.21  # inches
KINDS = {"pair": "GAN pairs", "single": "single GANs"}


class SummaryFigure(FigureKind):
    """One panel a metric, those of pairs in the first row, those of single GANs in the second. A dot is the mean over
    pairs or GANs (hollow where it is over fewer of them, or fewer seeds, than other methods'), its bar the 95% interval
    from leaving out one GAN at a time; grey bands hold 95% of such means of random directions; dashed lines carry the
    baseline and the ceiling through the panel."""

    name, title = "summary", "Headline scores"

    def draw(self, source: Source, path: Path) -> Path | None:
        return summary_figure(source, path)


def summary_figure(source: Source, path: Path) -> Path | None:
    """Draws the figure to ``path`` (PNG); None, and no file, where there are no headline scores."""
    blocks = []
    for kind in KINDS:
        panels = {m: own for m, own in source.headlines(kind).items() if any(s.values for s in own)}
        if panels:
            blocks.append((kind, source.entry_order(s.entry for own in panels.values() for s in own), panels))
    if not blocks:
        return None
    columns = max(len(panels) for _, _, panels in blocks)
    heights = [ROW * len(entries) + 0.8 for _, entries, _ in blocks]
    longest = max(len(e.label(entries)) for _, entries, _ in blocks for e in entries)
    # A dollar in a name starts no formula.
    with matplotlib.rc_context({"font.family": FONT, "font.size": 8.5, "text.parse_math": False}):
        width = max(LABELS, LETTER * longest) + PANEL * max(columns, 3)  # three: room for the words above and below
        figure = Figure(figsize=(width, sum(heights) + 1.0), dpi=150,
                        layout=ConstrainedLayoutEngine(wspace=0.03, w_pad=0.08))
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(blocks), columns, squeeze=False, height_ratios=heights)
        short = apart = False
        for axes, (kind, entries, panels) in zip(grid, blocks):
            trained_less = {s.entry for own in panels.values() for s in own if s.steps < s.published_steps}
            short = short or bool(trained_less)
            for axis, ((metric, group), own) in zip(axes, panels.items()):
                gaps = gaps_of(own)
                apart = apart or bool(gaps)
                _panel(axis, source, {s.entry: s for s in own}, entries, gaps)
                axis.set_title(drawable(whole_words(source.header(metric, group, kind))), fontsize=8.5, color=INK)
                axis.set_yticks(range(len(entries)), [""] * len(entries))
            axes[0].set_yticklabels([drawable(e.label(entries)) + (f" {DAGGER}" if e in trained_less else "")
                                     for e in entries])
            axes[0].set_ylabel(KINDS[kind], color=INK)
            for axis in axes[len(panels):]:
                axis.set_axis_off()
        figure.suptitle(textwrap.fill(drawable(source.caption()), int(16 * width)), fontsize=8, color=INK)
        roles = {entry.method: source.role(entry.method) for _, entries, _ in blocks for entry in entries}
        figure.legend(handles=_legend(roles, short, apart), loc="outside lower center", ncols=min(5, 2 * columns),
                      frameon=False, fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}")
        figure.savefig(temporary, format="png", metadata={"Software": None})
        os.replace(temporary, path)
    return path


def _panel(axis, source: Source, own: dict[Entry, Summary], entries: list[Entry],
           gaps: Collection[Entry]) -> None:
    for row, entry in enumerate(entries):
        s = own.get(entry)
        if s is None or not s.values:
            words = s.status.replace("_", " ") if s else "" if entry.own_pairing else "not run"
            axis.text(0.5, row, words, color="#777777", ha="center", va="center",
                      transform=axis.get_yaxis_transform(), fontsize=7)
            continue
        if math.isfinite(s.chance):
            axis.add_patch(Rectangle((s.chance_low, row - 0.5), s.chance_high - s.chance_low, 1, color=BAND_COLOUR,
                                     lw=0, zorder=0.5))
            axis.plot([s.chance] * 2, [row - 0.5, row + 0.5], color="#999999", lw=1, zorder=0.6)
            axis.update_datalim([(s.chance_low, row), (s.chance_high, row)])
        role = source.role(entry.method)
        colour, marker = STYLES[role]
        if role != "method":
            for line, other in enumerate(entries):  # its own pairing has other levels: no line through it
                if not other.own_pairing:
                    axis.plot([s.mean] * 2, [line - 0.5, line + 0.5], color=colour, lw=0.9, ls=(0, (3.3, 2.4)),
                              zorder=1)
        if math.isfinite(s.low):
            axis.plot([s.low, s.high], [row, row], color=colour, lw=1.8, solid_capstyle="butt", zorder=3)
        edge = {"mfc": "white", "mec": colour, "mew": 1.2} if entry in gaps else {"mec": "white", "mew": 0.6}
        axis.plot(s.mean, row, marker, color=colour, ms=5.5, zorder=4, **edge)
    axis.margins(x=0.09)
    axis.autoscale_view(scaley=False)
    axis.set_ylim(len(entries) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=7.5)
    axis.locator_params(axis="x", nbins=5)
    axis.grid(axis="x", color="#EEEEEE", lw=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _legend(roles: Mapping[str, str], short: bool, apart: bool) -> list:
    """``roles``: by method."""
    def dot(role: str, label: str, dash: str = "-") -> Line2D:
        colour, marker = STYLES[role]
        return Line2D([], [], color=colour, marker=marker, ls=dash, ms=5.5, mec="white", label=label)

    handles = [dot("method", "mean, 95% over GANs"),
               *(dot(role, f"{role}: {drawable(name)}", "--") for name, role in roles.items() if role != "method"),
               Patch(color=BAND_COLOUR, label="chance, 95% band")]
    if apart:
        handles.append(Line2D([], [], color=STYLES["method"][0], marker="o", ls="", ms=5.5, mfc="white", mew=1.2,
                              label="hollow: over fewer cells or seeds"))
    return handles + ([Line2D([], [], ls="", label=f"{DAGGER} fewer steps than published")] if short else [])
