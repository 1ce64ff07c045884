"""Write docs/architectures.md from the committed summary of a run; no number of it is typed.

    python examples/architectures/page.py

`run.py` writes the summary, docs/studies/architectures.json, and then this page.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orderings import Answer, answers, conflict
from page_pictures import PICTURES, pictures
from page_words import apart, listed, method, table, title, told
from spheres_page import sphere_section

__all__ = ["page", "write_page"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
SUMMARY = DOCS / "studies" / "architectures.json"

Summary = Mapping[str, Any]

_HEAD = """\
# Architectures and their skip connections

This page re-runs, with the toolkit alone, a line of research on what makes segmentation networks robust: which
architectures lose least when the texture of an object comes to look like that of its surroundings, and what
their skip connections have to do with it (Kamath et al., MICCAI 2023; Computers in Biology and Medicine 184,
2025; Wilm et al., arXiv 2402.08276, 2024){patches}. The page is made by the example from its own runs, words
included: another run writes another page.

```bash
pip install -c constraints.txt -e ".[dev]"
python examples/architectures/run.py --out work/architectures            # two cores
python examples/architectures/run.py --out work/architectures --tiny     # does it work at all?
python examples/architectures/run.py --out work/architectures --full --device cuda
```

To ask the same of your own checkpoints, see [Textures](textures.md), [Windows](windows.md),
[Skip connections](skips.md) and [Layers](layers.md).
"""

_PATCHES = (
    ",\nand what the size of a patch does (Kamath et al., Medical Imaging meets NeurIPS 2022)"
)

_DONE = """\
What the table does not show, and what a difference between two rows may come from as well:

- The U-Net halves the image in its first convolution, so that it has no skip at full resolution; the others
  have one. Its innermost concatenation bypasses no change of resolution, and is no skip by the rule of
  `segaudit skips`.
- The published V-Net calls MONAI without dropout, and MONAI keeps half of it all the same: its two finest skips
  pass through `Dropout3d(0.5)`, which in 2-D takes the images of a batch for channels. In training an image
  loses each of these skips altogether with a chance of one half. We train it so, too.
- The No-Skip V-Net follows the published code: it also drops the residuals of the decoder.
- UNet++ has two convolutions at every node and many more nodes than the others have levels.

**Pictures.** {size} x {size} pixels: one texture, and another one inside a closed blob; both have the same mean
and variance (pair `{pair}`). {training} for training, {validation} for validation, {patients} for the test,
drawn apart. Every picture counts as a patient.

**Blending.** In the *background* direction what surrounds the object takes on its texture, in the
*foreground* direction the object takes on that of its surroundings: the lines `kamath_texture_blend` and
`kamath_texture_blend_foreground` of the [catalogue](presets.md), for training and test alike. Trained at
{trained}; tested on clean pictures and at {tested}.

**Training.** Dice loss, Adam at {rate:g}, {epochs} epochs, rotations by quarter turns, the best validation
epoch kept; {runs} training run(s) of each, {networks} networks in all, audited as ONNX. Golden pairs, what the
training script itself made of two pictures, confirmed the contracts of {confirmed}.
"""

_ORDERINGS = """\
## The published orderings

Each statement was put as a question, with what would count as support, before any test picture was predicted.
*Supported* and *contradicted* mean that the whole interval lies on that side; *open*, that it does not.
"""

_CUT = """\
## Cut after training, and trained without

Two different quantities. *Cut*: one trained network, with what flows through a skip replaced while it runs; the
rest of it has learned to expect the skip, and meets values that it never saw. *Trained without*: another
network, which had every chance to do without. The first explains a network; only the second is the published
comparison, and neither is evidence of robustness by itself.

What cutting costs on clean pictures (reliance: mean DSC as it is less cut; one training run of each):
"""

_SPARED = """\
Which skip lets a perturbation in: loss from clean as it is, less loss with the skip replaced by its mean.
Positive: the network loses less without it.
"""

_LAYERS = """\
## How far activations move, layer by layer

Mean Hellinger distance of a layer's activations between the clean and the perturbed picture, over the first,
the middle and the last third of the layers, and the layers that move most. In brackets the same distance
between the clean pictures of two patients, which is what is usual: deeper layers hold fewer activations, so
that chance alone sets them further apart. Wilm et al. find early layers most susceptible.
"""

_RECIPES = """\
## Which architecture for which images

The recipe of [Which system for a site](recipe.md), by family, for three mixes that were stated before any test
picture was predicted; networks trained on easy foreground blends.
"""

_LIMITS = """\
## Limits

- Small networks, synthetic textures, one pair of them; a ranking here is none on clinical images.
- Of a blended picture the donor's texture is drawn anew, with its mean and spectrum; the published study blends
  two photographs. What a texture has beyond its spectrum (the crests of the stripes, the rims of the cells) is
  lost in the part that is blended in.
- {runs} training run(s) of each network. Runs vary, and the intervals, which say so, are wide.
- Intervals hold together within a question, not over the questions of the page.
- Every network is trained with one learning rate, so that slower ones are further from their best.
"""


def page(summary: Summary) -> str:
    """Write the page.

    Parameters
    ----------
    summary : of `findings.summary_of`, read back from JSON
    """
    asked = answers(summary)
    parts = [
        _HEAD.format(patches="" if summary["spheres"] is None else _PATCHES).rstrip(),
        _done(summary),
        _orderings(asked),
        *(_answer(number, it) for number, it in enumerate(asked, start=1)),
        "### Where the papers disagree\n\n" + conflict(summary),
        _matrices(summary),
        _post_hoc(summary),
        _layers(summary),
        _recipes(summary),
    ]
    if summary["spheres"] is None:
        parts.append("The sphere task, on what the size of a patch does, was left out of this run.")
    else:
        parts.append(sphere_section(summary["spheres"]).rstrip())
    parts.append(_LIMITS.format(runs=len(summary["design"]["seeds"])).rstrip())
    return "\n\n".join(it for it in parts if it) + "\n"


def write_page(summary: Summary, docs: Path = DOCS) -> Path:
    """Write the page and its pictures, and return the path of the page."""
    folder = docs / "images" / "architectures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in pictures(summary).items():
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")
    path = docs / "architectures.md"
    path.write_text(page(summary), encoding="utf-8")
    return path


def _done(summary: Summary) -> str:
    design = summary["design"]
    rows = [
        (it["title"], it["group"], it["skips"], f"{it['parameters'] / 1e6:.2f} million")
        for it in summary["networks"]
    ]
    told_of = {
        **design,
        "training": design["cases"][0],
        "validation": design["cases"][1],
        "trained": listed(
            [
                f"{design['easy']:g} in both directions",
                *(f"{level:g} in the {direction} direction" for direction, level in design["hard"]),
            ]
        ),
        "tested": listed([f"{it / 10:g}" for it in design["severities"]]),
        "runs": len(design["seeds"]),
    }
    networks = table(("network", "group", "skip connections", "parameters"), rows)
    return "\n\n".join(["## What was done", networks, _DONE.format_map(told_of).rstrip()])


def _orderings(asked: Sequence[Answer]) -> str:
    rows = [
        (number, it.statement, it.source, f"**{it.answer}**")
        for number, it in enumerate(asked, start=1)
    ]
    head = ("", "statement", "from", "this run")
    return "\n\n".join([_ORDERINGS.rstrip(), table(head, rows)])


def _answer(number: int, it: Answer) -> str:
    return "\n\n".join(
        [
            f"### {number}. {it.title}",
            f"*{it.statement}* ({it.source}) **{it.answer[:1].upper()}{it.answer[1:]}.**",
            it.rule,
            *it.evidence,
        ]
    )


def _matrices(summary: Summary) -> str:
    names = [name for name in PICTURES if name in pictures(summary)]
    shown = [f"![{PICTURES[name]}](images/architectures/{name}.svg)" for name in names]
    return "\n\n".join(["## Trained and tested", *shown]) if shown else ""


def _post_hoc(summary: Summary) -> str:
    """Set what cutting a trained network says beside what retraining without the skip says."""
    curves = [it for it in summary["ablations"] if it["perturbation"] == "clean"]
    if not curves:
        return ""
    rows = _by_condition(summary, curves, "reliance")
    retrained = [
        (apart(summary, it),
         direction, told(it["difference"]), it["difference"]["n"])
        for direction, found in summary["directions"].items()
        for it in found["differences"].get("finest", ())
        if it["tested"] == 0 and it["trained"] == summary["design"]["easy"]
    ]  # fmt: skip
    first = curves[0]["points"][0]["reliance"]
    parts = [
        _CUT.rstrip(),
        table(("network", "cut", *_conditions(curves)), rows),
        f"n = {first['n']}; intervals: {method(first)}.",
    ]
    if retrained:
        parts += [
            "What training with skips is worth on clean pictures, over all runs:",
            table(("networks", "trained on", "difference of mean DSC", "n"), retrained),
        ]
    spared = [
        it for it in summary["ablations"] if it["perturbation"] != "clean" and it["by"] == "mean"
    ]
    if spared:
        parts += [
            _SPARED.rstrip(),
            table(
                ("network", "cut", *_conditions(spared)), _by_condition(summary, spared, "spared")
            ),
        ]
    return "\n\n".join(parts)


def _by_condition(
    summary: Summary, curves: Sequence[Mapping[str, Any]], field: str
) -> list[tuple[str, ...]]:
    """Lay ablations out: a row for each network and cut, a column for each condition."""
    columns = _conditions(curves)
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for curve in curves:
        for point in curve["points"]:
            row = cells.setdefault((title(summary, curve["family"]), curve["skips"]), {})
            row[_condition(curve, point)] = told(point[field])
    return [(*key, *(row.get(it, "") for it in columns)) for key, row in cells.items()]


def _conditions(curves: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(_condition(it, point) for it in curves for point in it["points"]))


def _condition(curve: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    by = curve["by"] if point["strength"] is None else f"{curve['by']} {point['strength']:g}"
    if curve["perturbation"] == "clean":
        return by
    return f"{curve['perturbation']} {curve['tested']:g} {curve['unit']}"


def _layers(summary: Summary) -> str:
    rows = []
    for own in summary["layers"]:
        count = len(own["places"])
        for curve in own["curves"]:
            thirds = [
                f"{_mean(curve['distances'][part])} ({_mean(own['between'][part])})"
                for part in (slice(k * count // 3, (k + 1) * count // 3) for k in range(3))
            ]
            most = listed([f"{it + 1} of {count}" for it in curve["most"]]) if curve["most"] else ""
            rows.append(
                (title(summary, own["family"]),
                 f"{curve['perturbation']} {curve['tested']:g} {curve['unit']}", *thirds, most, curve["n"])
            )  # fmt: skip
    if not rows:
        return ""
    return "\n\n".join(
        [
            _LAYERS.rstrip(),
            table(
                ("network", "perturbation", "first third", "middle", "last third", "most", "n"),
                rows,
            ),
            "Described, without intervals; those of every layer are in the report of the run.",
        ]
    )


def _mean(values: Sequence[float | None]) -> str:
    known = [it for it in values if it is not None]
    return f"{sum(known) / len(known):.3f}" if known else "not assessable"


def _recipes(summary: Summary) -> str:
    if not summary["recipes"]:
        return ""
    parts = [_RECIPES.rstrip()]
    for made in summary["recipes"]:
        mix = listed([f"{share:.0%} {condition}" for condition, share in made["mix"].items()])
        names = [title(summary, it) for it in made["not_beaten"]]
        answer = f"not offered: {made['refusal']}" if not made["offered"] else (
            f"not beaten: {listed(names)}" if names else "nothing can be said"
        )  # fmt: skip
        settled = [it for it in made["pairs"] if it["verdict"] in (it["first"], it["second"])]
        parts += [
            f"### {made['name'][:1].upper()}{made['name'][1:]}",
            f"{mix}. **{answer[:1].upper()}{answer[1:]}.** {_left_open(made, settled)}",
            table(
                ("network", "runs", "mean DSC over the mix", "n"),
                [
                    (title(summary, it["name"]), it["runs"], told(it["score"], signed=False),
                     it["score"]["n"])
                    for it in made["systems"]
                ],
            ),
        ]  # fmt: skip
        if settled:
            parts.append(
                table(
                    ("settled", "difference", "preferred"),
                    [
                        (apart(summary, it),
                         told(it["difference"]), title(summary, it["verdict"]))
                        for it in settled
                    ],
                )
            )  # fmt: skip
    return "\n\n".join(parts)


def _left_open(made: Mapping[str, Any], settled: Sequence[Any]) -> str:
    total = len(made["pairs"])
    first = next((it["difference"] for it in made["pairs"]), None)
    how = f" ({method(first)})" if first is not None else ""
    among = (
        " Between those that are not beaten the order is open."
        if len(made["not_beaten"]) > 1
        else ""
    )
    return (
        f"{len(settled)} of {total} pairs are settled by simultaneous intervals{how}; the other "
        f"{total - len(settled)} the data leave open.{among}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--summary", type=Path, default=SUMMARY)
    parser.add_argument(
        "--docs", type=Path, default=DOCS, help="folder that the page is written to"
    )
    given = parser.parse_args()
    print(write_page(json.loads(given.summary.read_text(encoding="utf-8")), given.docs))


if __name__ == "__main__":
    main()
