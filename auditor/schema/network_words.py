"""What was found of the skip connections of a network, in words."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.schema.ablations import NetworkFacts

__all__ = ["by_sign", "certificate_words", "conclusion_words"]


def by_sign(sizes: Sequence[int]) -> str:
    """Write sizes.

    Examples
    --------
    >>> by_sign((96, 96, 48))
    '96 x 96 x 48'
    """
    return " x ".join(map(str, sizes))


def certificate_words(facts: NetworkFacts) -> tuple[str, str]:
    """Say what the two certificates of a list of skip connections are, each in one sentence.

    Parameters
    ----------
    facts : NetworkFacts
        Of a network that could be looked into.

    Returns
    -------
    tuple of str
        Of ``complete``, and of ``minimal``.
    """
    where = f"the bottleneck, {by_sign(facts.coarsest)}"
    without = "with all of them cut, " if facts.skips else ""
    if facts.complete and not any(it.down or it.up for it in facts.levels[1:]):
        complete = "yes: the network works at one resolution, so there is nothing to bypass"
    elif facts.complete:
        complete = f"yes: {without}every way from the input to the output goes through {where}"
    else:
        complete = f"no: {without}some way from the input to the output goes around {where}"
    if not facts.skips:
        return complete, "yes: there is none to be given back"
    if facts.minimal:
        return complete, "yes: giving back any one of them opens a way around it again"
    return complete, "no: giving back some of them alone opens no way around it"


def conclusion_words(facts: NetworkFacts) -> tuple[str, ...]:
    """Say what follows from the certificates for an ablation, in sentences.

    Parameters
    ----------
    facts : NetworkFacts
        Of a network that could be looked into.

    Returns
    -------
    tuple of str
        Empty when every level can be ablated and read by itself.
    """
    told = []
    if not facts.complete and not facts.skips:
        told.append(
            "Some way around the bottleneck was not seen, so nothing may be concluded about the skip "
            "connections of this network."
        )
    elif not facts.complete:
        told.append(
            "The list is not complete, so nothing may be concluded from ablating its levels; a value can "
            "still be named and replaced."
        )
    elif not facts.skips:
        told.append("A network without skip connections is no fault: there is nothing to ablate.")
    nested = any(it.nested for it in facts.skips)
    if facts.complete and facts.skips and (nested or not facts.minimal):
        told.append(
            "As in dense and lattice decoders (UNet++, UNETR), some connections are no way around the "
            "bottleneck by themselves, so what single levels are worth does not add up."
        )
    return (*told, *(f"{it[:1].upper()}{it[1:]}." for it in facts.remarks))
