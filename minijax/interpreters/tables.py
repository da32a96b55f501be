"""Rules by primitive, as mappings over the fields of the primitives themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping

from minijax.core import Primitive
from minijax.core.primitive import declared


class RuleTable(MutableMapping):
    """The field `field` of all primitives.

    A rule that is put in goes through `adopt`, and one that is taken out through `show`, where the
    signature that libraries know differs from the field's.
    """

    def __init__(self, field: str, adopt: Callable[[Callable], Callable] | None = None,
                 show: Callable[[Primitive, Callable], Callable] | None = None):
        self.field = field
        self.adopt = adopt
        self.show = show

    def __getitem__(self, primitive: Primitive) -> Callable:
        rule = getattr(primitive, self.field, None)
        if rule is None:
            raise KeyError(primitive)
        given = getattr(rule, "given", None)  # what a library put in, if this is what we made of it
        if given is not None and given[0] is self:
            return given[1]
        return rule if self.show is None else self.show(primitive, rule)

    def __setitem__(self, primitive: Primitive, rule: Callable) -> None:
        if self.adopt is not None:
            adopted = self.adopt(rule)
            adopted.given = (self, rule)
            rule = adopted
        setattr(primitive, self.field, rule)

    def __delitem__(self, primitive: Primitive) -> None:
        self[primitive]
        setattr(primitive, self.field, None)

    def __iter__(self) -> Iterator[Primitive]:
        return iter([p for p in declared if getattr(p, self.field) is not None])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, primitive: object) -> bool:
        return getattr(primitive, self.field, None) is not None
