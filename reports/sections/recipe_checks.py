"""What else a recipe looked at: two perturbations together, groups of cases predicted from each other."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema.recipe import Recipe
from reports.document import Block, Column, Prose, Table, Text
from reports.wording import count, in_words, lines, method_of, number, short, value_of

__all__ = ["checks"]


def checks(recipe: Recipe) -> tuple[Block, ...]:
    """Print both checks, and what would make the one that was not made."""
    blocks: list[Block] = [Prose(in_words(recipe.interaction.sentence))]
    if recipe.interaction.rows:
        rows: tuple[tuple[Text, ...], ...] = tuple(
            (
                it.system,
                value_of(it.together),
                value_of(it.summed),
                value_of(it.excess),
                count(it.excess.n),
            )
            for it in recipe.interaction.rows
        )
        columns = (
            *(Column("System"), Column("Drop under both", "number")),
            *(
                Column("Sum of single drops", "number"),
                Column("Excess", "number"),
                Column("n", "number"),
            ),
        )
        blocks.append(
            Table(
                "Two perturbations together against the sum of each alone.", columns, rows,
                note=Markup("{}. An excess within {} does not matter.").format(
                    method_of(recipe.interaction.rows[0].excess), number(recipe.interaction.margin)
                ),
            )
        )  # fmt: skip
    if recipe.interaction.lines:
        code = lines(recipe.interaction.lines)
        blocks.append(
            Prose(Markup("To assess them, add to audit.yaml:<br><code>{}</code>").format(code))
        )
    blocks.append(Prose(in_words(recipe.reality.sentence)))
    if recipe.reality.rows:
        blocks.append(_reality(recipe))
    return tuple(blocks)


def _reality(recipe: Recipe) -> Table:
    rows: tuple[tuple[Text, ...], ...] = tuple(
        (
            f"{recipe.reality.column} {it.group}",
            it.system,
            count(it.n),
            count(it.others),
            number(it.observed),
            number(it.predicted),
            value_of(it.residual),
            it.verdict,
        )
        for it in recipe.reality.rows
    )
    placed = "; ".join(
        f"{group}, {axis}: {severity:+.2f}".replace("-", "−")
        for group, axis, severity in recipe.reality.placements
    )
    columns = (
        *(Column("Group"), Column("System"), Column("n", "number"), Column("Others", "number")),
        *(Column("Observed", "number"), Column("Predicted", "number")),
        *(Column("Unexplained [interval]", "number"), Column("Verdict")),
    )
    return Table(
        f"Mean {short(recipe.metric)} of each group on clean scans, predicted from the other groups.",
        columns,
        rows,
        note=Markup(
            "{}. Severities relative to the other groups (below 0: cleaner): {}. A difference within {} "
            "does not "
            "matter."
        ).format(
            method_of(recipe.reality.rows[0].residual), placed, number(recipe.reality.tolerance)
        ),
    )
