"""xGA's numbers (Olson et al., Cross-GAN Auditing, CVPR 2023): tables 4 and 5 and the pairwise ones of appendix E."""

from __future__ import annotations

from collections.abc import Iterable

from dirbench.results.published import NO_ERROR, load
from dirbench.results.rows import each
from dirbench.results.statistics.chance import recovery_chance
from dirbench.results.table import Table, frame_of, number, wrap

LABEL = "published (CelebA, M = 40, the release's variants)"
PAPER = "Olson et al., Cross-GAN Auditing, CVPR 2023"
GANS = ("full", "female", "male", "no_hats", "no_glasses", "no_beards", "no_beards_no_hats",
        "no_smiles_no_glasses_no_ties")
"""In the order of the paper's tables."""
RECOVERY, ALIGNMENT = "attribute_recovery", "alignment"

METHODS = ("sefa", "jacobian", "hessian", "latentclr", "voynov", "xga_resnet50", "xga_clip_resnet50",
           "xga_advbn_resnet50", "xga_vit_1", "xga_vit_2", "xga_vit_3", "xga_unnamed")

PUBLISHED_AS: dict[str, tuple[str, str, str] | None] = dict.fromkeys(METHODS)
"""Published row -> our (method, variant, extractor) that measures the same thing, or None. All None: on the same name,
ours is another method (its own paper's, not the release's variant), on other GANs, data and oracle."""


def paper_table(number_of_table: int, mapping: dict[str, tuple[str, str, str] | None] = PUBLISHED_AS) -> Table:
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
        if metric == RECOVERY else ()
    lines: dict[str, dict[str, str]] = {}
    for label, part in data.groupby("method", sort=False):
        method = str(label)
        values = dict(zip(part["client"], part["value"]))
        lines[method] = {wrap(g): number(values[g]) for g in _in_order(values)}
        lines[method]["mean\n(computed here)"] = number(part["value"].mean())
        if any(mapping.values()):
            ours = mapping.get(method)
            lines[method]["our row"] = "" if ours is None else f"{ours[0]}[{ours[1]}]".replace("[]", "") + (
                f" ({ours[2]})" if ours[2] else "")
    return Table(f"published_table{number_of_table}_{metric}", f"{metric} ↑, {LABEL}: table {number_of_table}",
                 frame_of(lines), data, f"{PAPER}, table {number_of_table} · not measured by this project",
                 (*chance, NO_ERROR))


def matrix(metric: str, method: str) -> Table:
    """A published pairwise table (xGA, appendix E): ``metric`` is attribute_recovery or alignment."""
    data = load("xga_pairwise")
    known = data[data["table"].str.endswith("_pairwise")]
    part = known[(known["metric"] == metric) & (known["method"] == method)]
    if part.empty:
        raise ValueError(f"no published pairwise table of {metric!r} for {method!r}; metrics: "
                         f"{', '.join(sorted(set(known['metric'])))}; methods: {', '.join(METHODS)}")
    values = {(r.reference, r.client): r.value for r in each(part)}
    gans = _in_order({*part["reference"], *part["client"]})
    lines = {a: {wrap(b): number(values.get((a, b), float("nan"))) for b in gans} for a in gans}
    frame = frame_of(lines, "reference \\ client")
    notes = () if metric == ALIGNMENT else ("Client full is 0 by definition: nothing is excluded from it.",)
    return Table(f"published_pairs_{metric}_{method}", f"{metric} ↑ of every pair, {LABEL}: {method}",
                 frame.iloc[:-1, 1:] if metric == ALIGNMENT else frame, part,
                 f"{PAPER}, appendix E · not measured by this project", notes)


def means() -> Table:
    """Means, computed here, over the published pairwise tables, the only figures that all 12 rows have."""
    data = load("xga_pairwise")
    data = data[data["table"].str.endswith("_pairwise") & (data["client"] != "full")]
    found = data.groupby(["method", "metric"])["value"].agg(["mean", "count"])
    cells = found.to_dict("index")
    lines = {m: {f"{metric} ↑\n({cells[m, metric]['count']} pairs)": number(cells[m, metric]["mean"])
                 for metric in (RECOVERY, ALIGNMENT)} for m in METHODS}
    return Table("published_pairs_means", f"Means over the pairwise tables, {LABEL}", frame_of(lines),
                 found.reset_index(), f"{PAPER}, appendix E · means computed here from the published cells", (
                     "Recovery: ordered pairs but those with client full, which are 0 by definition.",
                     "xga_vit_1 to 3: ViT, MAE ViT and CLIP ViT in an order that the text does not give.", NO_ERROR))


def tables(metrics: set[str]) -> list[Table]:
    """Tables 4 and 5 and the means of the pairwise ones, for a run that has their metric."""
    return [table for names, made in (({RECOVERY}, lambda: paper_table(4)), ({ALIGNMENT}, lambda: paper_table(5)),
                                      ({RECOVERY, ALIGNMENT}, means)) if names & metrics for table in [made()]]


def _in_order(gans: Iterable[str]) -> list[str]:
    return [gan for gan in GANS if gan in set(gans)]
