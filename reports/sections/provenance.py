"""Where everything comes from: digests, versions, contracts; and what words mean."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import CLEAN, Contract, ContractField, SystemRecord
from reports.document import Block, Column, Prose, Section, Table, Terms, Text
from reports.view import View
from reports.wording import count, in_words, number

_GLOSSARY = (
    (
        "ablated system",
        "a network with what flows through skip connections replaced: it explains the network",
    ),
    ("assured", "holds without assumptions about failures that were not seen"),
    ("bound", "one-sided: at least, or at most, with a stated confidence"),
    ("case", "one scan with its references"),
    ("certificate", "what an audit stores so that a new scan can be rated without a reference"),
    ("clean", "the scan as it is, with the noise it came with; severity 0"),
    ("condition", "one perturbation at one severity"),
    ("conditional", "holds if no kind of failure exists that was not seen"),
    ("contract", "how a system wants to be fed and read: axes, spacing, intensities, labels"),
    ("coverage", "share of patients for whom a bound held"),
    ("degraded", "the evidence shows that a declared limit is not kept"),
    ("DSC", "Dice similarity coefficient: overlap of two masks, 0 to 1"),
    ("exponent", "of gamma: grey values between 0 and 1 are raised to it"),
    ("exchangeable", "as if drawn from the same patients, scanners and protocols, in any order"),
    ("FWHM", "full width at half maximum: how wide a point becomes by blur"),
    ("golden pair", "a scan with the maker's own output, to check that it is run as intended"),
    (
        "Hellinger distance",
        "of two histograms: 0 for the same one, 1 where they share no bin",
    ),
    ("HD95", "95th percentile of the distances between two surfaces"),
    ("INU", "intensity non-uniformity: how much brightness varies across the scan by a bias field"),
    ("interval", "two-sided: from .. to, with a stated confidence"),
    ("level", "size of a perturbation in a physical unit"),
    ("loss", "paired change for the worse from the clean scan"),
    (
        "marginal bound",
        "conformal bound that holds for its share of new patients on average over audits",
    ),
    ("no effect", "the level changes nothing on this scan; never counted as evidence of stability"),
    ("NRMSE", "root mean square change of the image, over its reference signal"),
    ("NSD", "share of two surfaces that lie within a tolerance of each other"),
    ("n", "number of patients behind a number"),
    ("operating envelope", "up to which severity the declared limits are supported"),
    ("own noise", "noise of a scan before anything is added"),
    (
        "PAC bound",
        "conformal bound that holds with a stated confidence in the calibration patients, too",
    ),
    ("phantom bound", "bound of a mean that counts one imagined patient with the worst value"),
    (
        "proxy",
        "number without a reference that follows the quality of a prediction, as agreement of masks",
    ),
    ("rater", "one person's mask of a case"),
    ("reference", "the mask that is scored against"),
    ("reliance", "paired loss when skip connections are replaced, against the network as it is"),
    ("severity", "rank of a level, 1 to 5; from 4 on beyond usual practice"),
    ("S_ref", "reference signal of a clean scan, against which noise is measured"),
    (
        "skip connection",
        "a way around the deeper part of a network, which carries activations at a finer resolution",
    ),
    ("spared", "how much smaller the loss from clean is when skip connections are replaced"),
    ("SSIM", "structural similarity of two images, 1 for identical ones"),
    ("stratum", "a group of cases"),
    ("system", "a checkpoint with its declared processing and settings"),
)


def provenance(view: View) -> Section:
    """Print digests, versions, sandbox layers and every contract."""
    audit = view.results.audit
    elsewhere = view.results.measured is not None
    names = ("configuration", "plan", "cases")
    if elsewhere:
        names = ("options", "measurements", "tables")
    digests = (
        *zip(names, (audit.config_digest, audit.plan_digest, audit.manifest_digest), strict=True),
        ("segaudit", audit.tool_version),
        ("results format", str(view.results.version)),
    )
    rows = tuple(
        (name, Markup('<code class="digest">{}</code>').format(v or "none")) for name, v in digests
    )
    blocks: list[Block] = [Table("Digests (SHA-256).", (Column("What"), Column("Value")), rows)]
    if elsewhere:
        blocks.append(_named(view))
    else:
        blocks.append(_systems(view))
        own = [it for it in view.results.systems if it.name not in view.ablated]
        blocks += [_contract(system) for system in own]
    noise = _noise(view)
    if noise is not None:
        blocks.append(noise)
    cost = _cost(view)
    if cost is not None:
        blocks.append(cost)
    if view.provenance:
        entries = tuple(
            (name, value or "none")
            for name, value in sorted(view.provenance.items())
            if not name.startswith(("numeric_floor.", "cost."))
        )
        columns = (Column("What"), Column("Value", "wide"))
        blocks.append(Table("Run: versions, hardware, times.", columns, entries))
    else:
        blocks.append(Prose("No provenance was stored with this run.", "empty"))
    lead = "What was run, by which software, and who says how each system wants to be run."
    if elsewhere:
        lead = (
            "What was read, and by which software; what ran elsewhere is known by its name alone."
        )
    return Section("provenance", "Provenance", lead, tuple(blocks))


def _named(view: View) -> Table:
    """List systems of which a table says no more than names and training runs."""
    rows = tuple(
        (
            it.name,
            it.family or "not stated",
            "not stated" if it.training_seed is None else str(it.training_seed),
            Markup('<code class="hash">{}</code>').format(it.sha256),
        )
        for it in view.results.systems
    )
    columns = (
        *(Column("System"), Column("Family"), Column("Training run")),
        Column("SHA-256 of its measurements"),
    )
    return Table("Systems, as the table names them.", columns, rows)


_WITHOUT_SANDBOX = {
    "callable": "none: ran in this process",
    "command": "none: ran with all rights of its user",
    "predictions": "none: ran elsewhere",
}
"""What stands where no layer held, by format."""

_WITHOUT_SETTINGS = {
    "command": "none: its text says everything",
    "predictions": "none: ran elsewhere",
}
"""What stands where no setting was handed over, by format."""


def _systems(view: View) -> Table:
    rows = tuple(_system(system) for system in view.results.systems)
    columns = (
        *(Column("System"), Column("Family"), Column("Training run"), Column("Format")),
        *(Column("SHA-256"), Column("Bytes", "number"), Column("Contract")),
        *(Column("Golden pairs", "number"), Column("Settings"), Column("Trained on")),
        *(Column("Sandbox"), Column("Findings", "wide")),
    )
    return Table("Systems.", columns, rows)


def _system(system: SystemRecord) -> tuple[Text, ...]:
    golden: Text = "none"
    if system.golden_pairs:
        agreement: Text = (
            number(system.golden_agreement) if system.golden_agreement is not None else "undefined"
        )
        golden = Markup("{}, smallest DSC {}").format(count(system.golden_pairs), agreement)
    return (
        system.name,
        _family(system),
        "not stated" if system.training_seed is None else str(system.training_seed),
        system.format,
        Markup('<code class="hash">{}</code>').format(system.sha256 or "none"),
        count(system.size_bytes),
        str(system.contract.status),
        golden,
        ", ".join(f"{name} {value}" for name, value in system.settings)
        or _WITHOUT_SETTINGS.get(system.format, "not stored"),
        _training(system),
        ", ".join(system.sandbox) or _WITHOUT_SANDBOX.get(system.format, "none"),
        "; ".join(system.findings) or "none",
    )


def _family(system: SystemRecord) -> str:
    """Name the family with its architecture group."""
    if not system.family:
        return "not stated"
    return (
        f"{system.family} ({system.architecture_group})"
        if system.architecture_group
        else system.family
    )


def _training(system: SystemRecord) -> Text:
    """Print what the maker says of the training."""
    facts = system.training
    told: list[Markup] = []
    if facts is not None and facts.patch is not None:
        sizes = Markup(" x ").join(count(size) for size in facts.patch)
        told.append(Markup("patches of {}").format(sizes))
    if facts is not None and facts.foreground_ratio is not None:
        low, high = map(number, facts.foreground_ratio)
        told.append(Markup("foreground {} to {} of a patch").format(low, high))
    if facts is not None and facts.condition is not None:
        name, level = facts.condition
        told.append(
            Markup("clean images")
            if name == CLEAN
            else Markup("images under {} {}").format(name, number(level, text=f"{level:g}"))
        )
    return Markup(", ").join(told) if told else "not stated"


def _contract(system: SystemRecord) -> Table:
    contract = system.contract
    rows = tuple((f.name, f.value, _source(f)) for f in contract.fields)
    status = str(contract.status)
    probed = [f.name for f in contract.fields if f.source == "probed"]
    summary = f"Contract of {system.name} ({status}"
    summary += f"; {len(probed)} probed, not declared)" if probed else ")"
    said = [status, contract.note, _tried(contract)]
    return Table(
        caption=f"Contract of {system.name}: {'. '.join(in_words(it) for it in said if it)}.",
        columns=(Column("Field"), Column("Value"), Column("Source")),
        rows=rows or (("no field", "none", "none"),),
        note=_PROBED if probed else "",
        summary=summary,
    )


def _source(field: ContractField) -> Text:
    if field.source == "probed":
        return Markup("<strong>probed, not declared</strong>")
    return str(field.source)


def _tried(contract: Contract) -> str:
    """Say what other contracts gave, or why none was tried."""
    if contract.sensitivity is None:
        return "Golden pairs spoke, so that no other contracts were tried on the cases"
    note = contract.sensitivity.note
    if note == contract.note:
        return ""
    if contract.sensitivity.cases:
        return f"Other contracts on cases of this audit: {note}"
    return note[:1].upper() + note[1:]


_PROBED = (
    "Probed fields were found by trying small inputs, and declared by nobody: they say how the system can "
    "be run, not how its maker runs it."
)


def _rounded(text: str) -> Text:
    try:
        value = float(text)
    except ValueError:
        return text  # a file that somebody edited is shown as it is
    return number(value, text=f"{value:.6g}")


def _noise(view: View) -> Table | None:
    """Show by how much two runs of the same case differ."""
    rows: list[tuple[Text, ...]] = []
    for name in view.systems:
        found = {
            key: view.provenance.get(f"numeric_floor.{name}.{key}", "")
            for key in (
                "largest_difference_of_scores",
                "differing_voxels",
                "smallest_dsc",
                "problem",
            )
        }
        if not any(found.values()):
            continue
        if found["problem"]:
            rows.append((name, found["problem"], "none", "none"))
            continue
        largest, voxels, dsc = list(found.values())[:3]
        rows.append((name, _rounded(largest), voxels, _rounded(dsc)))
    if not rows:
        return None
    columns = (
        *(Column("System"), Column("Largest difference of scores", "number")),
        *(Column("Voxels with another label", "number"), Column("Smallest DSC", "number")),
    )
    caption = (
        "Numeric floor: two runs of the same clean case. Effects that are not larger are noise of the "
        "machine."
    )
    return Table(caption, columns, tuple(rows))


def _cost(view: View) -> Table | None:
    """Show what every system cost in time and memory, with its window and the machine."""
    rows: list[tuple[Text, ...]] = []
    for system in view.results.systems:
        seconds, cases, peak = (
            view.provenance.get(f"cost.{system.name}.{key}", "")
            for key in ("seconds_per_case", "cases", "peak_memory_mb")
        )
        if not (seconds or peak):
            continue
        settings = dict(system.settings)
        rows.append(
            (
                system.name,
                _window(system),
                ", ".join(f"{it} {settings[it]}" for it in _COSTLY if it in settings)
                or "not stored",
                _rounded(seconds),
                cases,
                _rounded(peak),
            )
        )
    if not rows:
        return None
    columns = (
        *(Column("System"), Column("Window"), Column("Settings")),
        *(Column("Seconds a case, median", "number"), Column("n", "number")),
        Column("Peak memory, MB", "number"),
    )
    known = view.provenance
    machine = known.get("processor", "not known")
    count_of = known.get("processors", "an unknown number of")
    caption = (
        f"Cost of each system, measured in this run on {machine} ({count_of} processors, "
        f"{known.get('workers', 'an unknown number of')} worker(s) side by side)."
    )
    note = (
        "Time: wall clock of one prediction of a clean scan, from the scan to its label map. Memory: the most "
        "that the system's own process held up to the second prediction of the first case, its libraries and "
        "weights among it; the memory of a GPU is not counted."
    )
    return Table(caption, columns, tuple(rows), note=note)


_COSTLY = ("batch", "device", "flips", "precision", "threads")
"""Settings that change what a prediction costs."""


def _window(system: SystemRecord) -> str:
    """Name the window of a system as its contract holds it."""
    fields = {it.name: it.value for it in system.contract.fields}
    size = fields.get("window.size")
    if size is None:
        return "whole image"
    overlap = fields.get("window.overlap")
    return f"{size}, overlap {overlap}" if overlap else size


def glossary(view: View) -> Section:
    """Explain words."""
    lead = f"Words as this report of {view.results.audit.name} uses them."
    return Section("glossary", "Glossary", lead, (Terms(_GLOSSARY),))
