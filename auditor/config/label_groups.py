"""Groups of labels that are scored like labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditor.config.problems import Problems, must_be_one_of

__all__ = ["read_label_groups"]


def read_label_groups(
    given: Mapping[str, Sequence[str]],
    *,
    labels: Sequence[str] | None,
    problems: Problems,
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Read the groups of labels.

    Parameters
    ----------
    given : mapping of name to the labels that it unites
    labels : sequence of str, optional
        Audited labels; None when a system could not be read, which may have the missing ones.
    problems : list of str
        Sentences are added to it.

    Returns
    -------
    (name, labels) of each group that could be read, its labels in the order of the audit's.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, members in given.items():
        own = Problems()
        if not name.strip() or not name.isprintable():
            own.append("must have a name that can be printed")
        if labels is not None and name in labels:
            own.append("must not be named like a label; name the union otherwise")
        doubled = sorted({member for member in members if list(members).count(member) > 1})
        own += [f"must hold each label once, has {member} twice" for member in doubled]
        told = [must_be_one_of(member, labels) for member in members] if labels else []
        own += [f"its labels {sentence}" for sentence in dict.fromkeys(filter(None, told))]
        if len(set(members)) < 2:
            held = f"only {members[0]}, which is scored by itself" if members else "none"
            own.append(f"must unite at least two labels, has {held}")
        ordered = tuple(it for it in labels or members if it in members)
        same = next((other for other, its in found.items() if set(its) == set(ordered)), None)
        if same is not None and not own:
            own.append(f"must unite other labels than {same}, has the same")
        problems += [f"label_groups.{name}: {sentence}" for sentence in own]
        if not own:
            found[name] = ordered
    return tuple(found.items())
