"""BIDS datasets: images of the subjects, and their masks in derivatives.

Columns of participants.tsv become metadata, sessions and runs a column each, and sidecars tell the slice
thickness. Which masks count is asked for by name where several could be meant.

References
----------
BIDS specification 1.10: participants file, derivatives, masks, discrete segmentations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.cases.bids_names import BidsFile, belongs, find_bids_files, subjects
from auditor.cases.bids_tables import read_participants, sidecar_thickness, table_labels
from auditor.cases.finding import listed, told_of
from auditor.cases.gathered import Choice, Gathered, modality_of, refuse, same_names
from auditor.cases.manifest import THICKNESS
from auditor.errors import DataError
from auditor.schema import CaseRecord

__all__ = ["gather_bids", "is_bids"]


@dataclass(frozen=True, slots=True)
class _Group:
    """The images of one case, with every mask that belongs to them."""

    images: tuple[BidsFile, ...]
    """One per channel."""
    masks: tuple[BidsFile, ...]
    """In the order of their names."""


def is_bids(folder: Path) -> bool:
    """Tell whether a folder holds subjects as BIDS names them."""
    return bool(subjects(folder))


def gather_bids(folder: Path, choice: Choice) -> Gathered:
    """Read a BIDS dataset; the subject is the patient.

    Parameters
    ----------
    folder : Path
        Holds sub-*/, and the masks in derivatives/*/sub-*/ or beside the images.
    choice : Choice
        ``images``: suffixes of the channels (T1w, FLAIR). ``references`` or ``raters``: masks by the
        name of their pipeline, their label, or both (manual/label-lesion_mask).

    Raises
    ------
    DataError
        With every problem at once, and with the names to choose from where several masks or images
        could be meant.
    """
    problems: list[str] = []
    notes: list[str] = []
    files = find_bids_files(folder, problems, notes)
    images = [file for file in files if not file.is_mask and not file.pipeline]
    masks = [file for file in files if file.is_mask]
    channels = choice.images or _only_suffix(images, masks, folder)
    groups = _groups(images, masks, channels, folder, problems)
    notes += _left_out(groups, masks, [it for it in images if it.suffix in channels], folder)
    labelled = [group for group in groups if group.masks]
    chosen = _chosen_names(labelled, choice, folder)
    participants = read_participants(folder, problems, notes)
    cases = []
    used: list[BidsFile] = []
    for group in labelled:
        picked = [_pick(group, name, problems, folder) for name in chosen]
        if all(picked):
            used += [mask for mask in picked if mask is not None]
        paths = [str(mask.path) for mask in picked if mask is not None]
        first = group.images[0]
        metadata = dict(participants.get(f"sub-{first.entity('sub')}", ()))
        metadata |= {name: first.entity(key) for key, name in (("ses", "session"), ("run", "run"))}
        metadata[THICKNESS] = sidecar_thickness(first, folder, problems)
        cases.append(
            CaseRecord(
                case=first.case,
                patient=f"sub-{first.entity('sub')}",
                images=tuple(str(image.path) for image in group.images),
                reference=None if choice.raters else next(iter(paths), None),
                raters=tuple(paths) if choice.raters else (),
                metadata=tuple(metadata.items()),
            )
        )
    problems += same_names(cases)
    what = f"BIDS dataset {folder.name}: {', '.join(channels)} with {', '.join(chosen)}"
    refuse(problems, what)
    return Gathered(
        layout="bids",
        text=what,
        cases=_without_empty_columns(cases),
        labels=table_labels(used, folder),
        channels=tuple(channels) if len(channels) > 1 else (),
        modality=modality_of(channels),
        notes=tuple(notes),
        names_patients=True,
    )


def _only_suffix(
    images: Sequence[BidsFile], masks: Sequence[BidsFile], folder: Path
) -> tuple[str, ...]:
    """Return the suffix of the images that have masks."""
    held = Counter(image.suffix for image in images if any(belongs(it, image) for it in masks))
    if len(held) == 1:
        return tuple(held)
    if held:
        told = ", ".join(f"{suffix} ({count})" for suffix, count in sorted(held.items()))
        msg = (
            f"the images of {folder.name} must be of one kind; {told} have masks. Say which count, one, "
            f"or several as channels: segaudit cases {folder.name} --images {min(held)} -o cases.csv"
        )
        raise DataError(msg)
    msg = (
        f"{folder.name} must hold images (sub-*/[ses-*/]anat/*_T1w.nii.gz) with masks "
        "(derivatives/*/sub-*/[ses-*/]anat/*_dseg.nii.gz or *_mask.nii.gz); it holds "
        f"{len(images)} images and {len(masks)} masks, and no mask belongs to an image"
    )
    raise DataError(msg)


def _groups(
    images: Sequence[BidsFile],
    masks: Sequence[BidsFile],
    channels: Sequence[str],
    folder: Path,
    problems: list[str],
) -> list[_Group]:
    """Put the channels of a case together, and the masks of each."""
    together: dict[str, list[BidsFile]] = {}
    for image in images:
        if image.suffix in channels:
            together.setdefault(image.case, []).append(image)
    groups = []
    owners: dict[Path, list[str]] = {}
    for case, files in together.items():
        held = [image.suffix for image in files]
        if sorted(held) != sorted(channels):
            problems.append(
                f"{case} must have one image of each of {', '.join(channels)}, it has "
                f"{listed([told_of(it.path, folder) for it in files])}"
            )
            continue
        own = [mask for mask in masks if any(belongs(mask, image) for image in files)]
        for mask in own:
            owners.setdefault(mask.path, []).append(case)
        ordered = sorted(files, key=lambda image: list(channels).index(image.suffix))
        groups.append(_Group(tuple(ordered), tuple(own)))
    problems += [
        f"{told_of(path, folder)} must belong to one image, it fits {listed(cases)}; its name must say "
        "which (run, acq, ..)"
        for path, cases in owners.items()
        if len(cases) > 1
    ]
    if not together:
        problems.append(f"no image ends in _{', _'.join(channels)}")
    return groups


def _left_out(
    groups: Sequence[_Group],
    masks: Sequence[BidsFile],
    images: Sequence[BidsFile],
    folder: Path,
) -> list[str]:
    """Say which files take no part."""
    notes = []
    alone = [group.images[0].case for group in groups if not group.masks]
    if alone:
        notes.append(f"{len(alone)} images have no mask and are left out: {listed(alone)}")
    used = {mask.path for group in groups for mask in group.masks}
    lost = [mask for mask in masks if mask.path not in used]
    subjects_of = {image.entity("sub") for image in images}
    other = [told_of(it.path, folder) for it in lost if it.entity("sub") in subjects_of]
    missing = [told_of(it.path, folder) for it in lost if it.entity("sub") not in subjects_of]
    if other:
        notes.append(
            f"{len(other)} masks belong to none of these images (another kind of image, session or "
            f"space): {listed(other)}"
        )
    if missing:
        notes.append(f"{len(missing)} masks are of subjects without an image: {listed(missing)}")
    return notes


def _chosen_names(groups: Sequence[_Group], choice: Choice, folder: Path) -> tuple[str, ...]:
    """Return the names of the masks that count: one, or one per rater."""
    held = Counter(mask.key for group in groups for mask in group.masks)
    asked = choice.raters or ((choice.references,) if choice.references else ())
    if not asked:
        if len(held) <= 1:
            return tuple(held)
        told = ", ".join(f"{key} ({count})" for key, count in sorted(held.items()))
        first, second = sorted(held)[:2]
        command = f"segaudit cases {folder.name}"
        msg = (
            f"the images of {folder.name} must have one kind of mask each, there are {told}. Say which "
            f"one counts ({command} --references {first} -o cases.csv), or that they are several raters "
            f"({command} --raters {first},{second} -o cases.csv), and use the table. Masks of different "
            "labels must be joined to one label map first"
        )
        raise DataError(msg)
    unknown = [name for name in asked if not any(_named(key, name) for key in held)]
    if unknown:
        msg = (
            f"the masks {listed(unknown)} must be among those of the dataset: "
            f"{', '.join(sorted(held)) or 'there are none'}"
        )
        raise DataError(msg)
    return tuple(asked)


def _named(key: str, name: str) -> bool:
    """Tell whether a name means a key: whole, its pipeline, or what follows it."""
    pipeline, _, rest = key.rpartition("/")
    return name in (key, pipeline, rest)


def _pick(group: _Group, name: str, problems: list[str], folder: Path) -> BidsFile | None:
    found = [mask for mask in group.masks if _named(mask.key, name)]
    if len(found) == 1:
        return found[0]
    case = group.images[0].case
    if found:
        told = listed([told_of(mask.path, folder) for mask in found])
        problems.append(
            f"{case} must have one mask {name!r}, it has {told}; name one of them whole"
        )
    else:
        problems.append(f"{case} must have the mask {name!r}, it has none")
    return None


def _without_empty_columns(cases: Sequence[CaseRecord]) -> tuple[CaseRecord, ...]:
    """Drop the columns that say nothing of any case, and let every case have the others."""
    columns = dict.fromkeys(name for record in cases for name, value in record.metadata if value)
    return tuple(
        CaseRecord(
            case=record.case,
            patient=record.patient,
            images=record.images,
            reference=record.reference,
            raters=record.raters,
            metadata=tuple((name, dict(record.metadata).get(name, "")) for name in columns),
        )
        for record in cases
    )
