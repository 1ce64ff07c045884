"""The file names of BIDS: ``sub-01_ses-2_run-1_label-lesion_mask.nii.gz`` taken apart.

**Conventions.** An entity is ``key-value``; the last part that is none is the suffix. Masks are those of
BIDS derivatives (``_dseg``, ``_mask``), and the older form that repeats the name of the image
(``sub-01_T2w_seg-manual``, ``sub-01_T2w_label-SC_mask``).

References
----------
Gorgolewski et al. 2016, Scientific Data 3:160044; BIDS specification, Derivatives, Imaging data types.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auditor.cases.finding import find_files, stem_of
from auditor.volumes.nifti import is_nifti

__all__ = ["BidsFile", "belongs", "find_bids_files", "subjects"]

_OF_MASKS = ("space", "res", "den", "label", "desc", "seg", "atlas")
"""Entities that derivatives add to the name of the image they are made from."""

_NATIVE = ("orig", "native", "individual")
"""Spaces that are the image's own grid."""


@dataclass(frozen=True, slots=True)
class BidsFile:
    """One NIfTI file of a dataset."""

    path: Path
    """Where it lies."""
    pipeline: str
    """Folder below derivatives; empty in the raw dataset."""
    datatype: str
    """Folder of the file: anat, dwi."""
    entities: tuple[tuple[str, str], ...]
    """(key, value), in the order of the name."""
    source: str
    """Suffix of the image that a mask names (T2w of ``_T2w_label-SC_mask``); of images: empty."""
    suffix: str
    """T1w, dseg, mask."""

    @property
    def is_mask(self) -> bool:
        """True for label maps and binary masks."""
        named = dict(self.entities)
        return self.suffix in ("dseg", "mask") or bool(
            self.pipeline and self.suffix != "probseg" and {"seg", "label"} & named.keys()
        )

    @property
    def key(self) -> str:
        """What tells the masks of one image apart: pipeline, label and suffix."""
        told = [f"{k}-{v}" for k, v in self.entities if k in ("label", "desc", "seg", "atlas")]
        name = "_".join([*told, *([self.suffix] if self.suffix in ("dseg", "mask") else [])])
        return f"{self.pipeline}/{name}" if self.pipeline else name

    @property
    def case(self) -> str:
        """The name without its suffix: sub-01_ses-2_run-1."""
        return "_".join(f"{key}-{value}" for key, value in self.entities)

    def entity(self, key: str) -> str:
        """Return the value of an entity; empty when the name has none."""
        return dict(self.entities).get(key, "")


def subjects(folder: Path) -> list[Path]:
    """List the folders of the subjects."""
    return sorted(it for it in folder.glob("sub-*") if it.is_dir())


def find_bids_files(folder: Path, problems: list[str], notes: list[str]) -> list[BidsFile]:
    """Find the images and masks of a dataset, raw and derived, in the order of their names."""
    places = [("", subject) for subject in subjects(folder)]
    derivatives = folder / "derivatives"
    pipelines = sorted(derivatives.iterdir()) if derivatives.is_dir() else []
    for pipeline in pipelines:
        if pipeline.name.startswith("sub-"):  # masks without a folder of their pipeline
            places.append(("derivatives", pipeline))
        elif pipeline.is_dir():
            places += [(pipeline.name, subject) for subject in subjects(pipeline)]
    files = []
    for pipeline_name, place in places:
        found = find_files(place)
        problems += found.problems
        notes += found.notes
        files += [
            _parsed(it, pipeline_name)
            for it in found.files
            if is_nifti(it) and _in_place(it.relative_to(place).parts)
        ]
    return [file for file in files if file is not None and file.entity("sub")]


def _in_place(parts: tuple[str, ...]) -> bool:
    """Tell whether a file lies where BIDS has it, in [ses-*/]datatype/; links may lead elsewhere."""
    return len(parts) == 2 or (len(parts) == 3 and parts[0].startswith("ses-"))


def _parsed(path: Path, pipeline: str) -> BidsFile | None:
    parts = stem_of(path).split("_")
    entities = [tuple(it.split("-", 1)) for it in parts if "-" in it]
    bare = [it for it in parts if "-" not in it]
    if not bare:
        return None
    suffix = bare[-1]
    ends = parts[-1] == suffix
    source = bare[-2] if len(bare) > 1 else "" if ends else suffix
    if source and not ends:
        suffix = "dseg"  # sub-01_T2w_seg-manual: a label map, named by its entity alone
    return BidsFile(
        path=path,
        pipeline=pipeline,
        datatype=path.parent.name,
        entities=tuple((key, value) for key, value in entities),
        source=source,
        suffix=suffix,
    )


def belongs(mask: BidsFile, image: BidsFile) -> bool:
    """Tell whether a mask is one of an image.

    Everything that the mask's name says of its image must be true of it; what derivatives add
    (label, desc, space, ..) is left out, and a space must be the image's own.
    """
    if mask.datatype != image.datatype or mask.source not in ("", image.suffix):
        return False
    said = [(key, value) for key, value in mask.entities if key not in _OF_MASKS]
    known = dict(image.entities)
    if any(known.get(key) != value for key, value in said):
        return False
    if image.entity("ses") != mask.entity("ses"):
        return False
    space = mask.entity("space")
    return space in (image.entity("space"), "", *_NATIVE, image.suffix)
