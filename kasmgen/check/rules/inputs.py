"""4xx, the input files: values that look like secrets are sealed, and not written there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kasmgen.check.rule import ERROR, Hit, Rule
from kasmgen.layout import paths


@dataclass(frozen=True)
class Inputs:
    """Input file -> paths of the values in it that look like secrets, but for those that it says are none."""

    loud: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def value_in_clear(inputs: Inputs) -> Iterator[Hit]:
    for file, values in inputs.loud.items():
        for value in values:
            yield Hit(f"values.{value} looks like a secret and stands in clear", file, "", paths.environment(file))


RULES: tuple[Rule[Inputs], ...] = (
    Rule(
        "KG416",
        ERROR,
        "a value in an input file looks like a secret",
        "A value in `kasmgen.yaml` or an `environment.yaml` is called like a secret, or is a private key or a URL with "
        "a password. `env add` and `render` refuse it, whatever the chart makes of it. The value is never shown.",
        "take it out, replace it wherever it is used, and let the chart read it from a Secret; if it is none, list its "
        "path under `plain` in the file",
        value_in_clear,
    ),
)
