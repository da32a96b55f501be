"""The example of parallel training: every strategy learns as one device does."""

import re

import pytest

from minijax.examples import parallel_transformer as example
from tests.helpers import assert_close

STEPS = 4
# Operations between devices in the compiled step; "fused" sums count once.
COLLECTIVES = {
    "single": {},
    "data_parallel": {"all-reduce": 2},
    "tensor_parallel": {"all-reduce": 4},
    "pipeline": {"all-reduce": 2, "collective-permute": 2},
}


@pytest.fixture(scope="module")
def alone():
    return example.train(example.single(), STEPS)


@pytest.mark.parametrize("name", [n for n in example.STRATEGIES if n != "single"])
def test_losses_are_those_of_one_device(name, alone):
    assert alone[-1] < alone[0] - 0.5
    assert_close(example.train(example.STRATEGIES[name](), STEPS), alone, rtol=1e-5, atol=0)


def communication(name):
    strategy = example.STRATEGIES[name]()
    text = example.make_step(strategy).lower(*example.start(strategy)).compile().as_text()
    kinds = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")
    counts = {kind: len(re.findall(rf"[\])}}] {kind}\(", text)) for kind in kinds}
    return {kind: count for kind, count in counts.items() if count}


@pytest.mark.parametrize("name", COLLECTIVES)
def test_communication_of_the_compiled_step(name):
    assert communication(name) == COLLECTIVES[name]


def test_fully_sharded_gathers_parameters():
    counts = communication("fully_sharded")
    assert counts["all-gather"] >= 4 and counts["all-reduce"] >= 1
