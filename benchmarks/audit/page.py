"""The page of an audit: everything that a reader needs, in Markdown, from what ``audit.json`` holds."""

from __future__ import annotations

from collections.abc import Sequence


def page(a: dict) -> str:
    """The Markdown of an audit's result (see ``run.audit``)."""
    parts = [_head(a), _summary(a), _false_positives(a), _common(a), _unique(a, "missing"), _unique(a, "novel"),
             _unmeasurable(a), _chance(a), _made_by(a)]
    return "\n\n".join(parts) + "\n"


def _head(a: dict) -> str:
    reference, client, method = a["reference"], a["client"], a["method"]
    lines = [f"# Audit: client `{client['given']}` against reference `{reference['given']}`",
             f"{a['title']}. {_steps(method)}, seed {a['seed']}. Common directions belong to both generators, missing "
             "ones to the reference only, novel ones to the client only.",
             _table(("", "reference", "client"),
                    [("family", reference["family"], client["family"]),
                     ("pixels", reference["resolution"], client["resolution"]),
                     ("latents", *(", ".join(f"{s} of {n}" for s, n in g["latent"].items())
                                   for g in (reference, client))),
                     ("directions in", reference["space"], client["space"])])]
    if a["method"]["steps"] < a["method"]["published_steps"]:
        lines.append(f"xGA took {_steps(method).split(', ')[1]}: what is found here is less than it can find.")
    if reference["space"] != client["space"]:
        lines.append(f"Edits have strength {a['made']['alpha']:g} in the reference's {reference['space']} and in the "
                     f"client's {client['space']}; strengths, and so effect sizes, are not comparable across spaces.")
    oracle = a["oracle"]
    if oracle["used"]:
        lines.append(f"Attributes are read by oracle `{oracle['name']}`, trained on {oracle['data']}: "
                     f"{len(oracle['readable'])} of {oracle['attributes']} are readable and count. Why it is suitable: "
                     f"{oracle['reason']}.")
    else:
        lines.append("**No suitable oracle, so no attributes**: features and pictures only. Why: "
                     f"{oracle['reason']}. Directions have no names; what they change is for the reader to see.")
    return "\n\n".join(lines)


def _summary(a: dict) -> str:
    dead = a["unmeasurable"][a["evidence"]]
    counts = ", ".join(f"{len(a[kind])} of {dead[f'of_{kind}']} {kind}" for kind in ("common", "missing", "novel"))
    lines = ["## In short", f"With measurable effect: {counts} directions. The others are called nothing."]
    beyond = [one for one in a["common"] if one["beyond_chance"]]
    if a["common"] and a["chance"][a["evidence"]]["pair_cosine"] is not None:
        lines[-1] += (f" {len(beyond)} of the {len(a['common'])} common pairs change images more alike than 95% of "
                      f"random pairs do (cosine above {a['chance'][a['evidence']]['pair_cosine']:.2f}).")
    if a["evidence"] == "attributes":
        for kind in ("common", "missing", "novel"):
            lines.append(f"- {kind}: {_names(one['called'] for one in a[kind])}")
        lines.append("\nA direction is called after the attribute that it changes most (a common pair: after the one "
                     "that both change most).")
        both = sorted({o["called"] for o in a["missing"] + a["novel"]} & {o["called"] for o in a["common"]})
        if both:
            lines[-1] += f" Also among the common ones, hence doubtful as missing or novel: {_names(both)}."
    if a["data"]:
        lines.append(f"\nWhat the zoo's manifest says of the training data: missing {_names(a['data']['missing'])}; "
                     f"novel {_names(a['data']['novel'])}.")
    return "\n".join([lines[0], "", lines[1], "", *lines[2:]]).rstrip()


def _false_positives(a: dict) -> str:
    head, control = "## False positives", a["control"]
    if control is None:
        return (f"{head}\n\nNot measured: no two generators of the same data were at hand. Until they are "
                "(`--control A B`), nothing says how many of the missing and novel directions are real.")
    n = len(control["missing"]) + len(control["novel"])
    dead = a["unmeasurable"][a["evidence"]]
    text = (f"`{control['pair'][0]}` and `{control['pair'][1]}` are generators of the same data: whatever is called "
            f"missing or novel between them is a false positive. The same procedure called {n} of "
            f"{dead['of_missing'] + dead['of_novel']} directions so: a rate of {control['rate_of_directions']:.2f}.")
    if "called" in control:
        text += (f" By attributes: missing {_names(control['called']['missing'])}; novel "
                 f"{_names(control['called']['novel'])}; {control['rate_of_attributes']:.2f} of all attributes.")
    if control["nearest"]:
        text += (f"\n\nA false one is at least {control['nearest'][0]:.2f} alike (cosine) to some edit of the other "
                 "generator. A direction below that **stands out**: no false one was as far from the other generator.")
    return f"{head}\n\n{text}"


def _common(a: dict) -> str:
    head = "## Common"
    if not a["common"]:
        return f"{head}\n\nNo pair has a measurable effect on both generators."
    named = a["evidence"] == "attributes"
    rows = []
    for one in a["common"]:
        turned = "" if one["sign"] > 0 else " (client reversed)"
        row = [f"{one['direction']}{turned}", *([one["called"]] if named else []), f"{one['cosine']:.2f}",
               _yes(one["beyond_chance"])]
        row += [_both(one, "effect"), _both(one, "reliability")]
        if named:
            features = one["features"]
            row += [f"{features['cosine']:.2f}" if features else "no measurable change", _changes(one["reference"]),
                    _changes(one["client"], one["sign"])]
        rows.append(row)
    heads = ["direction", *(["called"] if named else []), "cosine", "beyond chance", "effect (reference, client)",
             "reliability (reference, client)"]
    heads += ["cosine in features", "changes in the reference", "changes in the client"] if named else []
    return "\n\n".join([head, "Cosine: of the two mean changes. Reversed: the client's − goes with the reference's +, "
                        "and is shown so. " + _legend(named), _table(heads, rows),
                        _picture(a, "common")])


def _unique(a: dict, kind: str) -> str:
    own, other = ("reference", "client") if kind == "missing" else ("client", "reference")
    head = f"## {kind.capitalize()}: in the {own}, not in the {other}"
    if not a[kind]:
        return f"{head}\n\nNo such direction has a measurable effect."
    named = a["evidence"] == "attributes"
    rows = []
    for one in a[kind]:
        near = one["nearest"]
        row = [one["direction"], *([one["called"]] if named else []), f"{one['effect']:.2f}",
               f"{one['reliability']:.2f}", f"{near['cosine']:.2f} ({near['direction']})" if near else "none",
               _yes(one["stands_out"])]
        if named:
            row += [f"{one['size']:.2f}, {one['other_size']:.2f}",
                    f"{one[f'share_{own}']:.0%}, {one[f'share_{other}']:.0%}",
                    f"{one['features']['effect']:.2f}, {one['features']['reliability']:.2f}", _changes(one)]
        rows.append(row)
    heads = ["direction", *(["called"] if named else []), "effect", "reliability", f"most alike in the {other}",
             "stands out"]
    heads += [f"largest change here, in the {other}", f"images with it: {own}, {other}",
              "features: effect, reliability", "changes"] if named else []
    return "\n\n".join([head, f"Most alike: the cosine with the most similar edit of the {other} (its direction). "
                        + _legend(named), _table(heads, rows), _picture(a, kind)])


def _unmeasurable(a: dict) -> str:
    lines = ["## Without measurable effect",
             "Called neither common nor missing nor novel: their mean change cannot be told from the noise between "
             "images, at either sign (a common pair: in either generator)."]
    for kind, dead in a["unmeasurable"].items():
        lines.append(f"- by {kind}: {len(dead['common'])} of {dead['of_common']} common pairs, {len(dead['missing'])} "
                     f"of {dead['of_missing']} missing, {len(dead['novel'])} of {dead['of_novel']} novel directions; "
                     f"all in all {len(dead['reference'])} directions of the reference and {len(dead['client'])} of "
                     "the client")
    return "\n".join([lines[0], "", lines[1], "", *lines[2:]])


def _chance(a: dict) -> str:
    lines = ["## Scores and chance",
             f"Chance: what {a['made']['profile_settings']['chance']['runs']} runs of random directions a generator "
             "get from the same procedure, and the band in which 95% of further runs would lie. Intervals: over the "
             "latents that were scored."]
    rows = []
    for kind, level in a["chance"].items():
        for row in level["scores"]:
            value = row.get("reason") or _interval(row["value"], row["low"], row["high"])
            chance = "" if "reason" in row else _interval(row["chance"], row["chance_low"], row["chance_high"])
            rows.append((kind, row["score"], row["of"], value, chance))
    return "\n\n".join([*lines, _table(("read by", "score", "of", "value", "chance"), rows)])


def _made_by(a: dict) -> str:
    made, oracle, extractor = a["made"], a["oracle"], a["extractor"]
    latents, hardware = made["profile_settings"]["latents"], made["hardware"]
    rows = []
    everyone = [("reference", a["reference"]), ("client", a["client"]), *(("control", c) for c in a["controls"])]
    for role, one in everyone:
        files = "; ".join(f"{name} sha256 {digest}" for name, digest in one["files"].items())
        rows.append((role, f"`{one['given']}`: {files or 'no file'}; identity {one['hash'][:16]}"))
    rows += [("method", f"{_steps(a['method'])}; {a['method']['source']}"), ("seed", a["seed"]),
             ("profile", f"{made['profile']} ({made['profile_title']})"),
             ("latents", f"{latents['match']} that decide, {latents['score']} that are scored; strength "
              f"{made['alpha']:g}"),
             ("oracle", f"`{oracle['name']}`, sha256 {oracle['sha256'] or 'unknown'}" if oracle["used"]
              else f"none: {oracle['reason']}"),
             ("features", f"{extractor['name']} {extractor['params'] or ''}, identity {extractor['fingerprint'][:16]}; "
              f"unit features on {extractor['axes']} random axes"),
             ("code", f"commit {made['commit'][:12]}{' with changes' if made['dirty'] else ''}"),
             ("versions", ", ".join(f"{k} {v}" for k, v in {"python": made["python"], **made["versions"]}.items())),
             ("device", f"{hardware['device']}, {hardware.get('gpu') or hardware['processor']}"),
             ("artifacts in the store", f"directions {a['artifacts']['pair']['directions']}"),
             ("time", made["time"])]
    return "\n\n".join(["## What made these numbers", _table(("", ""), rows),
                        "All of this and every number above: `audit.json`."])


# -- small pieces --------------------------------------------------------------------------------------------
def _legend(named: bool) -> str:
    what = "attributes" if named else "feature axes"
    text = (f"Effect: mean size of the change over {what}, in units of each one's spread over unedited images. "
            "Reliability: split-half, of the mean change, 1 at most, noise has 0.")
    return text + (" Changes: logits in units of their spread, at +strength / −strength." if named else "")


def _steps(method: dict) -> str:
    return f"{method['name']}, {method['steps']:,} of {method['published_steps']:,} published steps"


def _both(one: dict, key: str) -> str:
    return f"{one['reference'][key]:.2f}, {one['client'][key]:.2f}"


def _changes(facts: dict, sign: int = 1) -> str:
    pairs = [(m["name"], *(m[side] for side in ("plus", "minus")[::sign])) for m in facts["attributes"]]
    return "; ".join(f"{name} {ahead:+.2f} / {back:+.2f}" for name, ahead, back in pairs).replace("-", "−")


def _names(names) -> str:
    return ", ".join(sorted(set(names))) or "none"


def _yes(value: bool | None) -> str:
    return "not known" if value is None else "yes" if value else "no"


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "not defined"
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _picture(a: dict, kind: str) -> str:
    return f"![Traversals of the {kind} directions]({a['pictures'][kind]})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
