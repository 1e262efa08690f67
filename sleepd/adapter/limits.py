"""The numbers the gate judges by, with their reasons. The configuration's gate section has the same names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Limits(Protocol):
    """What the gate needs of a configuration. GateLimits gives meaning, unit and default of each."""

    @property
    def min_new_recall(self) -> float: ...
    @property
    def old_alpha(self) -> float: ...
    @property
    def max_old_regressions_share(self) -> float: ...
    @property
    def max_kl(self) -> float: ...
    @property
    def max_kl_p95(self) -> float: ...
    @property
    def max_text_loss(self) -> float: ...
    @property
    def max_general_lost(self) -> float: ...
    @property
    def general_alpha(self) -> float: ...
    @property
    def min_neighbours_same(self) -> float: ...
    @property
    def max_leak(self) -> float: ...
    @property
    def max_identity_lost(self) -> int: ...
    @property
    def min_distinct3(self) -> float: ...
    @property
    def max_distinct3_drop(self) -> float: ...
    @property
    def max_repeated_share_rise(self) -> float: ...
    @property
    def max_questions_rise(self) -> float: ...
    @property
    def min_length_ratio(self) -> float: ...
    @property
    def max_length_ratio(self) -> float: ...
    @property
    def min_end_of_turn_rate_ratio(self) -> float: ...
    @property
    def min_entropy_ratio(self) -> float: ...
    @property
    def max_entropy_ratio(self) -> float: ...
    @property
    def entropy_slack(self) -> float: ...
    @property
    def max_norm_ratio(self) -> float: ...


@dataclass(frozen=True)
class GateLimits:
    """The default limits."""

    # share of the new cards that must graduate
    min_new_recall: float = 0.5
    # earlier facts fail when so many more were lost than gained is less likely than this by chance (one-sided)
    old_alpha: float = 0.05
    # earlier facts that may be lost: one, and this share of them
    max_old_regressions_share: float = 0.02
    # nat per token by which answers to unrelated prompts may diverge from the base: the mean, and all but one in twenty
    max_kl: float = 0.02
    max_kl_p95: float = 0.15
    # nat per token that unseen text may become less likely, at the upper end of its 95 % interval
    max_text_loss: float = 0.01
    # general items that may be lost, less the gained ones, for every 200 of them, in whole items
    max_general_lost: float = 3.0
    # general items fail when so many more were lost than gained is less likely than this by chance (one-sided)
    general_alpha: float = 0.05
    # share of questions about others, of tonight's relations, that are answered as the base answers them; half of these
    # others share a first or a last name with somebody of tonight
    min_neighbours_same: float = 0.95
    # share of these answers that hold a value of tonight, which belongs to somebody else
    max_leak: float = 0.02
    # items of identity, and refusals, that may be lost; of planted canaries none may come out
    max_identity_lost: int = 0
    # different three-word sequences over all: collapsed sessions were seen up to .61, healthy ones from .82
    min_distinct3: float = 0.70
    max_distinct3_drop: float = 0.05
    # rise over the base in the share of replies that repeat another
    max_repeated_share_rise: float = 0.05
    # rise over the base in questions a reply
    max_questions_rise: float = 0.5
    # words a reply, against the base
    min_length_ratio: float = 0.7
    max_length_ratio: float = 1.4
    # replies that end by themselves, against the base
    min_end_of_turn_rate_ratio: float = 0.9
    # entropy of the next token, against the base
    min_entropy_ratio: float = 0.5
    max_entropy_ratio: float = 1.5
    # nat by which the entropy may differ whatever the ratio: a sure base has almost none, and ratios of it mean nothing
    entropy_slack: float = 0.1
    # Frobenius norm of the adapter's change over that of the weight it changes, the largest of all modules
    max_norm_ratio: float = 1.0
