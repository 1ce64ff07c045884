"""The command that finds skip connections: skips."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # --help must stay fast
    from auditor.schema import NetworkFacts

__all__ = ["skips"]

_FILE = click.Path(path_type=Path)
_HEAD = ("#", "level", "resolution", "channels", "merged by", "places", "nested", "value")


@click.command()
@click.argument("model", type=_FILE)
@click.option("--out", "-o", type=_FILE, help="Folder for skips.svg, skips.csv and skips.json.")
@click.option(
    "--set", "texts", multiple=True, metavar="FIELD=VALUE",
    help="A field of the contract that is known, as input.size=[64,96].",
)  # fmt: skip
@click.option("--device", metavar="NAME", help="cpu [default], cuda, cuda:1.")
@click.option(
    "--limit", "limit_s", type=click.FloatRange(min=1), default=60.0, show_default=True,
    metavar="SECONDS", help="After this time no further try begins.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print skips.json on stdout.")
def skips(  # one parameter an option
    model: Path,
    *,
    out: Path | None,
    texts: tuple[str, ...],
    device: str | None,
    limit_s: float,
    as_json: bool,
) -> None:
    """Tell which skip connections a network has, and how to ablate them in an audit; no data needed.

    MODEL is an ONNX graph, a TorchScript or .pt2 program, or the folder of a MONAI bundle or of an nnU-Net
    training. It is run once, recorded, in the sandboxed child process; a skip connection is found by
    resolution, not by names. Levels count from 0, the finest resolution.

    \b
    segaudit skips unet.onnx
    segaudit skips unet.onnx -o skips/ --set input.size=[96,96]
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.config import parse_fields
    from auditor.execution.store import write_bytes
    from auditor.pipeline import skips as find
    from auditor.pipeline import table_of_skips
    from auditor.pipeline.output_folder import make_folder
    from auditor.schema import encode
    from reports.networks import picture_of_skips

    settings = parse_fields(texts) | ({} if device is None else {"device": device})
    if out is not None:
        make_folder(out)
    found = find(model, settings=settings, limit_s=limit_s)
    text = encode(found)
    if out is not None:
        write_bytes(out / "skips.json", text.encode())
        write_bytes(out / "skips.csv", table_of_skips(found).encode())
        write_bytes(out / "skips.svg", picture_of_skips(found).encode())
    if as_json:
        click.echo(text, nl=False)
    else:
        for line in _lines(found, model):
            click.echo(line)
    if out is not None:
        click.echo(f"picture    {out / 'skips.svg'}", err=as_json)


def _lines(found: NetworkFacts, model: Path) -> Iterator[str]:
    from auditor.schema.network_words import by_sign, certificate_words, conclusion_words

    count = len(found.skips)
    told = "1 skip connection" if count == 1 else f"{count or 'no'} skip connections"
    yield f"{model.name}: {told}, fed {by_sign(found.fed)}"
    yield ""
    yield from _table(found)
    yield ""
    complete, minimal = certificate_words(found)
    yield f"complete   {complete}"
    yield f"minimal    {minimal}"
    for sentence in conclusion_words(found):
        yield f"note       {sentence}"
    yield from _ablations(found)


def _table(found: NetworkFacts) -> Iterator[str]:
    """Print one row a skip connection, and one a level without any."""
    from auditor.schema.network_words import by_sign

    rows = [_HEAD]
    levels = {level: it.resolution for level, it in enumerate(found.levels)}
    levels |= {it.level: it.resolution for it in found.skips}
    for level, resolution in sorted(levels.items()):
        here = [(i, skip) for i, skip in enumerate(found.skips, 1) if skip.level == level]
        for number, skip in here:
            nested = "nested" if skip.nested else ""
            channels = str(skip.channels or "?")
            rows.append(
                (str(number), str(level), by_sign(resolution), channels, skip.operator,
                 str(skip.places), nested, skip.source)
            )  # fmt: skip
        if not here:
            what = "bottleneck" if resolution == found.coarsest else "no skip connection"
            rows.append(("", str(level), by_sign(resolution), "", what, "", "", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    right = {0, 1, 3, 5}
    for row in rows:
        cells = [text.rjust(n) if i in right else text.ljust(n)
                 for i, (text, n) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
        yield "  ".join(cells).rstrip()


def _ablations(found: NetworkFacts) -> Iterator[str]:
    """Print the lines of audit.yaml that ablate each level; of an incomplete list, each value."""
    if not found.skips:
        return
    name = _quoted(found.systems[0])
    yield ""
    yield f"to ablate  beside the system {name} of an audit.yaml, under systems:"
    if found.complete:
        for level in sorted({it.level for it in found.skips}):
            new = _quoted(f"{found.systems[0]}-without-{level}")
            yield f"  {new}: {{like: {name}, ablate: {{skip: {level}, by: mean}}}}"
        return
    for number, source in enumerate(dict.fromkeys(it.source for it in found.skips), 1):
        new = _quoted(f"{found.systems[0]}-value-{number}")
        value = json.dumps(source)
        yield f"  {new}: {{like: {name}, ablate: {{skip: {value}, by: mean}}}}"


def _quoted(name: str) -> str:
    """Quote the name of a system that YAML would take for a number or a truth value."""
    import yaml

    return name if isinstance(yaml.safe_load(name), str) else json.dumps(name)
