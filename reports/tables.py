"""Say once what every row of a table repeats."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup

from reports.document import Table, Text


def folded(table: Table) -> Table:
    """Move columns marked `Column.fold` below the table when all their rows agree.

    An empty cell agrees with every other one: its row makes no statement there.

    Parameters
    ----------
    table
        Any table.

    Returns
    -------
    Table
        The same table, or one with fewer columns and a longer note.
    """
    if len(table.rows) < 2:
        return table
    said: list[Text] = []
    kept = []
    for place, column in enumerate(table.columns):
        values = {str(row[place]): row[place] for row in table.rows if str(row[place])}
        if column.fold and len(values) <= 1:
            said += [Markup("{}: {}.").format(column.title, value) for value in values.values()]
        else:
            kept.append(place)
    if not said and len(kept) == len(table.columns):
        return table
    note = Markup(" ").join([*said, *([table.note] if table.note else [])])
    return replace(
        table,
        columns=tuple(table.columns[place] for place in kept),
        rows=tuple(tuple(row[place] for place in kept) for row in table.rows),
        note=note,
    )
