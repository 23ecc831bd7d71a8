"""Three opinions on each row: which of them stands alone.

Two frameworks that differ leave open which one is wrong. All rows are given the same input and the same
upstream gradient here, those of the first framework's chain, and each pair of answers is compared. Where two
of three agree and the third differs from both, the third stands alone, and is the one to look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from nst_manual.check.diagnosis import finite, relative_error
from nst_manual.check.layers import Chain, Layers


def votes(
    layers: Mapping[str, Layers], chain: Chain, bounds: Sequence[float], exact: float
) -> list[dict[str, Any]]:
    """Return the vote on each row, on the preprocessing first.

    Parameters
    ----------
    layers : mapping of str to Layers
        "ours" and the frameworks, by name.
    chain : Chain
        Whose values and gradients all are given.
    bounds : sequence of float
        Of each row, for pairs of which one is ours.
    exact : float
        For pairs of frameworks.

    Returns
    -------
    list of dict
        "name"; "agree", whether all pairs do; "alone", a name of `layers` or None; "output" and "gradient",
        the errors by pair, such as "ours-torch", the second being the reference.
    """
    found = []
    for index, name in enumerate(layers["ours"].names):
        answers = {}
        for who, rows in layers.items():
            y, pullback = rows.run(index, *chain.read(index))
            answers[who] = y, pullback(chain.gradients[index + 1])
        errors = {
            (a, b): [
                relative_error(answers[a][0], answers[b][0]),
                max(relative_error(*pair) for pair in zip(answers[a][1], answers[b][1], strict=True)),
            ]
            for a, b in combinations(answers, 2)
        }
        apart = {
            pair
            for pair, both in errors.items()
            if not max(both) <= (bounds[index] if "ours" in pair else max(exact, bounds[index]))
        }
        vote: dict[str, Any] = {"name": name, "agree": not apart, "alone": _alone(list(layers), apart)}
        for number, kind in enumerate(("output", "gradient")):
            vote[kind] = {f"{a}-{b}": finite(both[number]) for (a, b), both in errors.items()}
        found.append(vote)
    return found


def _alone(names: list[str], apart: set[tuple[str, str]]) -> str | None:
    """Return who differs from all others while those agree, if someone does."""
    for name in names:
        with_name = {pair for pair in combinations(names, 2) if name in pair}
        if apart == with_name:
            return name
    return None
