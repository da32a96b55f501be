"""What `checkpoint` saves: the answers of policies, and names for results.

A policy is called with an operation, the types of its operands and its parameters. Its answer is
True or `Saveable`, False or `Recompute`, or an `Offloadable`.

    jax.checkpoint(f, policy=jax.checkpoint_policies.save_only_these_names("hidden"))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from minijax.base import errors, tree
from minijax.core import Primitive, Values, pointwise
from minijax.runtime import place
from minijax.base.memory import Space


class Answer:
    """What a policy says of a result, when it does not say True or False."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return self.name


Saveable = Answer("Saveable")  # keep the result
Recompute = Answer("Recompute")  # compute it again


class Offloadable(NamedTuple):
    """What a policy says of a result that is kept, but waits in another kind of memory."""

    src: str  # of the device, as it is computed and used
    dst: str  # where it waits: "pinned_host"

    space = property(lambda self: _SPACES[self.dst])  # where it waits, as types say it

    def away(self, x: Any) -> Any:
        return place.device_put(x, self.space)

    def back(self, x: Any) -> Any:
        return place.device_put(x, _SPACES[self.src])


_SPACES = {"device": Space.Device, "pinned_host": Space.Host}


def everything_saveable(*_: Any, **__: Any) -> bool:
    """Save all, as without checkpoint."""
    return True


def nothing_saveable(*_: Any, **__: Any) -> bool:
    """Save only the inputs: the default."""
    return False


def dots_saveable(prim: Primitive, *_: Any, **__: Any) -> bool:
    """Save the results of matrix products and convolutions."""
    return prim.name in ("dot_general", "conv_general_dilated")


def dots_with_no_batch_dims_saveable(prim: Primitive, *_: Any, **params: Any) -> bool:
    """Save the results of matrix products without batch dimensions."""
    if prim.name != "dot_general":
        return False
    _, (lhs_batch, rhs_batch) = params["dimension_numbers"]
    return not lhs_batch and not rhs_batch


def save_any_names_but_these(*names_not_to_save: str) -> Callable[..., bool]:
    """Save all results named by `checkpoint_name` but these."""
    names = frozenset(names_not_to_save)
    return lambda prim, *_, **params: prim is name_p and params["name"] not in names


def save_anything_except_these_names(*names_not_to_save: str) -> Callable[..., bool]:
    """Save all results but those of these names."""
    names = frozenset(names_not_to_save)
    return lambda prim, *_, **params: prim is not name_p or params["name"] not in names


def save_only_these_names(*names_which_can_be_saved: str) -> Callable[..., bool]:
    """Save the results of these names."""
    names = frozenset(names_which_can_be_saved)
    return lambda prim, *_, **params: prim is name_p and params["name"] in names


def save_from_both_policies(policy_1: Callable, policy_2: Callable) -> Callable[..., bool]:
    """Save what either policy saves."""
    return lambda prim, *avals, **params: (is_saved(policy_1(prim, *avals, **params))
                                           or is_saved(policy_2(prim, *avals, **params)))


def save_and_offload_only_these_names(
        *, names_which_can_be_saved: Sequence[str], names_which_can_be_offloaded: Sequence[str],
        offload_src: str, offload_dst: str) -> Callable[..., Any]:
    """Save the results of some names, and move those of others to the memory `offload_dst`."""
    saved, offloaded = set(names_which_can_be_saved), set(names_which_can_be_offloaded)
    if saved & offloaded:
        raise ValueError(errors.describe(
            "The names should be exclusive and should not intersect in `names_which_can_be_saved` "
            f"and `names_which_can_be_offloaded`. Got {names_which_can_be_saved=}, "
            f"{names_which_can_be_offloaded=} and the intersection={saved & offloaded}",
            fix="give each name to one of them"))
    answers = {**dict.fromkeys(saved, Saveable),
               **dict.fromkeys(offloaded, Offloadable(offload_src, offload_dst))}
    return lambda prim, *_, **params: (answers.get(params["name"], Recompute)
                                       if prim is name_p else Recompute)


def offload_dot_with_no_batch_dims(offload_src: str, offload_dst: str) -> Callable[..., Any]:
    """Move results of matrix products without batch dimensions to the memory `offload_dst`."""
    answer = Offloadable(offload_src, offload_dst)
    return lambda prim, *avals, **params: (
        answer if dots_with_no_batch_dims_saveable(prim, *avals, **params) else Recompute)


checkpoint_policies = SimpleNamespace(
    checkpoint_dots=dots_saveable,
    checkpoint_dots_with_no_batch_dims=dots_with_no_batch_dims_saveable,
    **{policy.__name__: policy for policy in (
        everything_saveable, nothing_saveable, dots_saveable, dots_with_no_batch_dims_saveable,
        save_any_names_but_these, save_anything_except_these_names, save_only_these_names,
        save_from_both_policies, save_and_offload_only_these_names,
        offload_dot_with_no_batch_dims)})


def is_saved(answer: Any) -> bool:
    """Whether a policy's answer asks to keep the result."""
    if isinstance(answer, bool):
        return answer
    return answer is Saveable or isinstance(answer, Offloadable)


def checkpoint_name(x: Any, name: str) -> Any:
    """`x`, a pytree, with a name by which policies can ask for it to be saved."""
    return tree.map(lambda leaf: name_p.bind(leaf, name=name), x)


def _name_jvp(primals: Values, tangents: Values, *, name: str) -> tuple:
    return name_p.bind(*primals, name=name), tangents[0]


name_p = Primitive("name", shape=lambda x, name: x, jvp=_name_jvp, vmap=pointwise,
                   decompose=lambda x, name: x)
