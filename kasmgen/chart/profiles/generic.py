"""What kasmgen knows of a chart: which of its values an environment's fields set, and its Secrets.

A chart without a profile is rendered with its own values only; its Secrets are
read from its render.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kasmgen.errors import InputError
from kasmgen.kubernetes.resources import Secret
from kasmgen.project.config import Environment, Project
from kasmgen.secrets.required import RequiredSecret
from kasmgen.yaml import mappings
from kasmgen.yaml.documents import Yaml


@dataclass(frozen=True)
class Lifted:
    """Values without what must not stand in them in clear, and what was taken out.

    passwords: data key -> value. pairs: certificate role -> (certificate PEM, key PEM).
    registry: server, username, password, email. fields: environment fields that the values held.
    """

    values: Mapping[str, Yaml]
    passwords: Mapping[str, Secret] = field(default_factory=dict)
    pairs: Mapping[str, tuple[bytes, Secret]] = field(default_factory=dict)
    registry: Mapping[str, Secret] = field(default_factory=dict)
    fields: Mapping[str, Yaml] = field(default_factory=dict)


class Profile:
    """The profile of charts that kasmgen knows nothing about."""

    chart_names: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    """Roles that `certificates:` of an environment may name; empty: names of the chart's TLS Secrets."""

    def lift(self, values: Mapping[str, Yaml]) -> Lifted:
        """Secrets and environment fields taken out of the values that people pass."""
        return Lifted(values)

    def layer(self, project: Project, environment: Environment | None, given: Mapping[str, Yaml]) -> dict[str, Yaml]:
        """Values that win over `given` (defaults, the project's and the environment's values, merged)."""
        del project, environment, given
        return {}

    def secrets(
        self, environment: Environment, namespace: str, given: Mapping[str, Yaml]
    ) -> tuple[RequiredSecret, ...]:
        """Secrets that this chart needs beside or in place of those in its render."""
        del environment, namespace, given
        return ()

    def upstream_auth(self, environment: Environment, namespace: str, given: Mapping[str, Yaml]) -> str:
        """The address that Kasm's zone asks for as Upstream Auth; "" where there is none."""
        del environment, namespace, given
        return ""

    def manual_steps(self, environment: Environment, namespace: str, given: Mapping[str, Yaml]) -> tuple[str, ...]:
        """What people still do by hand once Flux has reconciled."""
        del environment, namespace, given
        return ()

    def unused(self, environment: Environment) -> tuple[str, ...]:
        """Fields of the environment that this chart's values do not get."""
        fields = {
            "altHostnames": environment.alt_hostnames,
            "ingressIP": environment.ingress_ip,
            "size": environment.size,
        }
        return ("hostname", *(name for name, value in fields.items() if value))


def check_same(what: str, field_value: Yaml, values: Mapping[str, Yaml], path: mappings.Path) -> None:
    """Refuse an environment that says one thing in a field and another in `values`."""
    other = mappings.get(values, path)
    if other not in (None, "", [], field_value) and field_value not in (None, "", [], ()):
        raise InputError(
            f"{what} is set twice: the field says {field_value!r}, values.{'.'.join(path)} says {other!r}",
            hint=f"remove {'.'.join(path)} from the values",
        )
