"""The recipes that the laboratory can sleep by: ours, ours with one part left out, and those of other systems."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """``preset`` of our own night, "" for another system's loop. ``ablate``: the part of our night that is left out.

    Only ``ours`` is ``gated``. The others live with every candidate: what is compared is what they learn and what they
    harm, and behind the gate a harmful recipe would only show that it learned nothing.
    """

    name: str
    about: str
    preset: str = ""
    ablate: str = ""
    gated: bool = True


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("ours", "the night as it runs in production", "verified"),
        Recipe("seed", "the settings of the first documents: rank 4 on q and v, rate 1e-5, 3 epochs, no rehearsal", "seed", gated=False),
        Recipe("no-replay", "ours without replay of earlier cards", "verified", "replay", gated=False),
        Recipe("no-kl", "ours without being held to the base", "verified", "kl", gated=False),
        Recipe("no-variety", "ours with one trained wording a card", "verified", "variety", gated=False),
        Recipe("no-gate", "ours, living with every candidate whatever the gate says", "verified", gated=False),
        Recipe("qa-fuse", "one question and answer a fact, LoRA on all linear layers, fused into the base every night", gated=False),
        Recipe("seal-sft", "fine-tuning at rate 1e-3 on a few statements and questions a fact, merged every night", gated=False),
        Recipe("locft", "breadth-first fine-tuning of one down projection in a middle layer", gated=False),
    )
}
COMPARED = ("ours", "seed", "qa-fuse", "seal-sft", "locft", "no-replay", "no-kl", "no-variety")
