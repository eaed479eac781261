"""A chart together with the values that it is installed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kasmgen.chart import secret_names
from kasmgen.chart.profiles import Profile
from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Chart
from kasmgen.layout import paths
from kasmgen.project.config import Environment, Project
from kasmgen.secrets.required import RequiredSecret
from kasmgen.yaml import mappings
from kasmgen.yaml.documents import Yaml


@dataclass(frozen=True)
class LoadedChart:
    """A chart that is ready to render: its copy, its own values and its profile.

    relaxed: entries that were taken out of its schemas because its defaults leave them null.
    """

    chart: Chart
    defaults: Mapping[str, Yaml]
    profile: Profile
    relaxed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Release:
    """What Helm would install for an environment, or for the base: the chart with the shared values alone."""

    loaded: LoadedChart
    project: Project
    environment: Environment | None = None

    @property
    def namespace(self) -> str:
        """Where it would be installed."""
        return (self.environment.namespace if self.environment else "") or self.project.namespace

    @property
    def given(self) -> dict[str, Yaml]:
        """The chart's own values under the project's under the environment's, before its profile has its say."""
        return mappings.merge(self.loaded.defaults, *(own for _, own in self.inputs))

    @property
    def inputs(self) -> list[tuple[str, Mapping[str, Yaml]]]:
        """The files with people's values, and the values; those of the environment, if there is one, come last."""
        shared = [(paths.PROJECT_FILE, self.project.values)]
        if self.environment is None:
            return shared
        return [*shared, (f"{self.environment.directory}/{paths.ENVIRONMENT_FILE}", self.environment.values)]

    @property
    def plain(self) -> tuple[str, ...]:
        """Paths of the innermost file's values that people say are no secrets."""
        return self.project.plain if self.environment is None else self.environment.plain

    @property
    def loud(self) -> list[str]:
        """Values of that file that look like secrets, but for those."""
        _, own = self.inputs[-1]
        return [".".join(path) for path in secret_names.in_clear(own, self.loaded.defaults, self.plain)]

    def with_own_values(self, own: Mapping[str, Yaml]) -> Release:
        """The same with other values than the environment's own, or without one than the project's."""
        if self.environment is None:
            return replace(self, project=self.project.replace(values=own))
        return replace(self, environment=self.environment.replace(values=own))

    def values(self) -> dict[str, Yaml]:
        """What Helm is given: only what people and the profile say, the chart's own values are Helm's to add.

        Raises SecretError for a secret in clear that the profile knows, InputError for values of another shape.
        """
        for file, own in self.inputs:
            lifted = self.loaded.profile.lift(own)
            refuse_in_clear(
                file, [*lifted.passwords, *(f"certificate {role}" for role in lifted.pairs), *lifted.registry]
            )
        layer = self.loaded.profile.layer(self.project, self.environment, self.given)
        for file, own in self.inputs:
            path = mappings.clash(own, mappings.merge(self.loaded.defaults, layer))
            if path:
                raise InputError(f"{file}: values.{'.'.join(path)}: a mapping is expected")
        return mappings.merge(*(own for _, own in self.inputs), layer)

    def known_secrets(self) -> tuple[RequiredSecret, ...]:
        """The Secrets that the environment is sure to need, as far as the chart's profile tells without a render."""
        if self.environment is None:
            return ()
        return self.loaded.profile.secrets(self.environment, self.namespace, self.given)


def refuse_in_clear(file: str, found: Sequence[str]) -> None:
    """Raise SecretError that names the secrets that were found in an input file, which is committed in clear."""
    if found:
        raise SecretError(
            f"{file}: values: these are secrets and would be committed in clear: {', '.join(found)}",
            hint="take them out: `kasmgen env add` seals what it is given, `sops set` changes what is sealed; "
            "a value that is no secret may be listed under `plain`",
        )
