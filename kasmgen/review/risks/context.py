"""What the rules of risk are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.review.changes import ObjectChange, Risk


@dataclass(frozen=True)
class RiskContext:
    """Both builds that the change is from; without them only the object itself is judged."""

    old: Mapping[ResourceId, Object] = field(default_factory=dict, repr=False)
    new: Mapping[ResourceId, Object] = field(default_factory=dict, repr=False)


Rule: TypeAlias = Callable[[ObjectChange], Iterator[Risk]]
RuleOfBuilds: TypeAlias = Callable[[ObjectChange, RiskContext], Iterator[Risk]]
