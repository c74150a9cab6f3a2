"""The papers' own numbers, in tables of their own: never in one with ours."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dirbench.results.rows import each
from dirbench.results.statistics.chance import recovery_chance
from dirbench.results.statistics.summary import gan_order
from dirbench.results.tables.layout import Table, frame_of, number, wrap

FOLDER = Path(__file__).resolve().parent
LABEL = "published (CelebA, M = 40, the release's variants)"
XGA = "Olson et al., Cross-GAN Auditing, CVPR 2023"
METHODS = ("sefa", "jacobian", "hessian", "latentclr", "voynov", "xga_resnet50", "xga_clip_resnet50",
           "xga_advbn_resnet50", "xga_vit_1", "xga_vit_2", "xga_vit_3", "xga_unnamed")

PUBLISHED_AS: dict[str, tuple[str, str, str] | None] = dict.fromkeys(METHODS)
"""Published row -> our (method, variant, extractor) that measures the same thing, or None. All None: on the same name,
ours is another method (its own paper's, not the release's variant), on other GANs, data and oracle."""


def load(name: str) -> pd.DataFrame:
    """The numbers of ``results/published/<name>.csv``. Raises FileNotFoundError naming those there are.

    >>> load("xga_pairwise").columns[:3].tolist()
    ['source', 'table', 'metric']
    """
    path = FOLDER / f"{name}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"no published numbers {name!r}; there are "
                                f"{', '.join(sorted(p.stem for p in FOLDER.glob('*.csv')))}")
    return pd.read_csv(path)


def xga_table(number_of_table: int, mapping: dict[str, tuple[str, str, str] | None] = PUBLISHED_AS) -> Table:
    """xGA's table 4 (attribute recovery) or 5 (alignment), with the mean over the seven clients, which is ours.

    ``mapping`` says which of our (method, variant, extractor) a published row belongs to; where one does, a column
    names it.
    """
    data = load("xga_pairwise")
    data = data[data["table"] == f"table{number_of_table}"]
    if data.empty:
        raise ValueError(f"xGA's table {number_of_table} is not among the published numbers; tables 4 and 5 are")
    metric = data["metric"].iloc[0]
    chance = (f"Four directions that rank 40 attributes at random get {recovery_chance(40, 4):.3f} on average.",) \
        if metric == "attribute_recovery" else ()
    lines: dict[str, dict[str, str]] = {}
    for label, part in data.groupby("method", sort=False):
        method = str(label)
        values = dict(zip(part["client"], part["value"]))
        lines[method] = {wrap(g): number(values[g]) for g in gan_order(values)}
        lines[method]["mean\n(computed here)"] = number(part["value"].mean())
        if any(mapping.values()):
            ours = mapping.get(method)
            lines[method]["our row"] = "" if ours is None else f"{ours[0]}[{ours[1]}]".replace("[]", "") + (
                f" ({ours[2]})" if ours[2] else "")
    return Table(f"published_table{number_of_table}_{metric}", f"{metric} ↑, {LABEL}: table {number_of_table}",
                 frame_of(lines), data, f"{XGA}, table {number_of_table} · not measured by this project",
                 (*chance, _NO_ERROR))


def xga_matrix(metric: str, method: str) -> Table:
    """A published pairwise table (xGA, appendix E): ``metric`` is attribute_recovery or alignment."""
    data = load("xga_pairwise")
    known = data[data["table"].str.endswith("_pairwise")]
    part = known[(known["metric"] == metric) & (known["method"] == method)]
    if part.empty:
        raise ValueError(f"no published pairwise table of {metric!r} for {method!r}; metrics: "
                         f"{', '.join(sorted(set(known['metric'])))}; methods: {', '.join(METHODS)}")
    values = {(r.reference, r.client): r.value for r in each(part)}
    gans = gan_order({*part["reference"], *part["client"]})
    lines = {a: {wrap(b): number(values.get((a, b), float("nan"))) for b in gans} for a in gans}
    frame = frame_of(lines, "reference \\ client")
    notes = () if metric == "alignment" else ("Client full is 0 by definition: nothing is excluded from it.",)
    return Table(f"published_pairs_{metric}_{method}", f"{metric} ↑ of every pair, {LABEL}: {method}",
                 frame.iloc[:-1, 1:] if metric == "alignment" else frame, part,
                 f"{XGA}, appendix E · not measured by this project", notes)


def xga_means() -> Table:
    """Means, computed here, over the published pairwise tables, the only figures that all 12 rows have."""
    data = load("xga_pairwise")
    data = data[data["table"].str.endswith("_pairwise") & (data["client"] != "full")]
    means = data.groupby(["method", "metric"])["value"].agg(["mean", "count"])
    found = means.to_dict("index")
    lines = {m: {f"{metric} ↑\n({found[m, metric]['count']} pairs)": number(found[m, metric]["mean"])
                 for metric in ("attribute_recovery", "alignment")} for m in METHODS}
    return Table("published_pairs_means", f"Means over the pairwise tables, {LABEL}", frame_of(lines),
                 means.reset_index(), f"{XGA}, appendix E · means computed here from the published cells", (
                     "Recovery: ordered pairs but those with client full, which are 0 by definition.",
                     "xga_vit_1 to 3: ViT, MAE ViT and CLIP ViT in an order that the text does not give.", _NO_ERROR))


def contrafeat_table() -> Table:
    """ContraFeat's S_disen and N_discov on FFHQ."""
    data = load("contrafeat_aaai2023")
    lines = {f"{r.model}, {r.metric}": {"s_disen ↑": number(r.s_disen), "n_discov ↑": number(r.n_discov, 1)}
             for r in each(data)}
    return Table("published_contrafeat", "s_disen and n_discov, published (FFHQ)", frame_of(lines, "model"), data,
                 "Zhu et al., ContraFeat, AAAI 2023, table 7 · not measured by this project", (_NO_ERROR,))


def voynov_table() -> Table:
    """Voynov and Babenko's table 2: reconstructor accuracy and people's marks of four generators' directions."""
    data = load("voynov_icml2020")
    data = data[data["table"] == "2"]
    lines: dict[str, dict[str, str]] = {}
    for r in each(data):
        lines.setdefault(r.directions, {})[f"{r.metric.upper()} ↑\n{r.dataset}\nK = {int(r.k)}"] = number(r.value, 2)
    return Table("published_voynov", "RCA and mean opinion score, published", frame_of(lines, "directions"), data,
                 "Voynov & Babenko, ICML 2020, table 2 · not measured by this project", (_NO_ERROR,))


def sefa_table() -> Table:
    """SeFa's table 1: cosine distance to the supervised direction of each attribute."""
    data = load("sefa_cvpr2021")
    lines: dict[str, dict[str, str]] = {}
    for r in each(data):
        lines.setdefault(f"{r.method}, {r.model} ({r.space})", {})[f"{r.attribute} ↓"] = number(r.cosine_distance, 2)
    return Table("published_sefa", "Cosine distance to supervised directions, published", frame_of(lines), data,
                 "Shen & Zhou, CVPR 2021, table 1 · not measured by this project", (_NO_ERROR,))


_NO_ERROR = "The paper gives no uncertainty for these figures."
_BLOCKS = ((("attribute_recovery",), lambda: xga_table(4)), (("alignment",), lambda: xga_table(5)),
           (("attribute_recovery", "alignment"), xga_means), (("s_disen", "n_discov"), contrafeat_table),
           (("rca",), voynov_table), (("supervised_distance",), sefa_table))


def published_tables(metrics: Iterable[str] | None = None) -> list[Table]:
    """The published blocks that go with ``metrics``; all of them for None."""
    wanted = None if metrics is None else set(metrics)
    return [build() for names, build in _BLOCKS if wanted is None or wanted & set(names)]
