"""Rules that say which dimensions are split alike: what they refuse, and their text."""

import pytest

from minijax.experimental.custom_partitioning import (BATCHING, ArrayMapping, CompoundFactor,
                                                      SdyShardingRule)

ROW = ArrayMapping("i", "j")


@pytest.mark.parametrize("make, message", [
    (lambda: CompoundFactor("a"), "at least two factors"),
    (lambda: CompoundFactor("a", 1), "must be a str, but got <class 'int'>"),
    (lambda: CompoundFactor("a", BATCHING), "Ellipsis can't be used in a compound factor"),
    (lambda: ArrayMapping("a", BATCHING), "Ellipsis can only be used at the beginning"),
    (lambda: ArrayMapping("1a"), "have to start with a letter, but got '1a'"),
    (lambda: ArrayMapping("a", 2), "must be a str or CompoundFactor, but got <class 'int'>"),
    (lambda: SdyShardingRule((ROW,), (("i",),), k=3), "Factor k is not used in the rule"),
    (lambda: SdyShardingRule((ROW,), (("i",),), reduction_factors=("k",)),
     "Factor k is not used in the rule"),
    (lambda: SdyShardingRule((ROW,), (("i",),), i=3), "Factor i represents a whole dimension"),
    (lambda: SdyShardingRule.parse("(i j) -> i"), "Factor j is only used in compound factors"),
    (lambda: SdyShardingRule.parse("i j"), "no -> in rule"),
])
def test_wrong_rules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_text_of_a_rule():
    rule = SdyShardingRule.parse("... i, (j k) -> ... j", k=2, need_replication_factors=("i",))
    assert rule.text([(3, 4, 5), (12,)], [(3, 4, 6)]) == (
        "#sdy.op_sharding_rule<([i, j, k], [lm])->([i, j, l]) {i=3, j=4, k=5, l=6, m=2} "
        "need_replication={k}, custom>")
    assert repr(rule).startswith("SdyShardingRule(((") and repr(rule).endswith("{'k': 2})")
