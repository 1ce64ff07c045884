"""What no try can find is asked for by name, with the line to add."""

from __future__ import annotations

from collections.abc import Iterable

from auditor.systems.questions import ALL_INTENSITIES, Question, is_settled

__all__ = ["questions"]


def questions(
    *,
    dims: int,
    classes: int | None,
    declared: frozenset[str],
    further: Iterable[Question] = (),
) -> tuple[Question, ...]:
    """List what must be asked for.

    Parameters
    ----------
    dims : of the system.
    classes : channels of its output; None: it answered to nothing.
    declared : fields that are known already.
    further : questions about fields that were tried and stayed open.

    Returns
    -------
    Questions in the order of the configuration.
    """
    asked = []
    if dims == 3:
        asked += [
            Question(
                "input.axes",
                "a flipped or exchanged axis costs accuracy without any error",
                "input: {axes: RAS}",
            ),
            Question(
                "input.spacing_mm",
                "the voxel size that the system was trained on; leave out for native spacing",
                "input: {spacing_mm: [1.5, 1.5, 2.0]}",
            ),
        ]
    asked.append(
        Question(
            ALL_INTENSITIES,
            "what the system was trained on cannot be seen from outside; or zscore: image",
            "input: {clip: [-57, 164], scale_to: [0, 1]}",
        )
    )
    asked += further
    many = f" of the {classes}" if classes is not None and classes > 1 else ""
    asked.append(
        Question(
            "output.labels",
            f"which channel{many} holds what; 0 is the background of a softmax",
            "output: {labels: {organ: 1}}",
        )
    )
    order = ("input.", "input ", "window.", "output.")
    asked.sort(key=lambda q: next(i for i, start in enumerate(order) if q.name.startswith(start)))
    return tuple(q for q in asked if not is_settled(q, declared))
