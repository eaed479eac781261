"""`check`: everything that can be known before Flux tries, over all environments at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from kasmgen import build
from kasmgen.build import Foundation
from kasmgen.chart import render
from kasmgen.check import environment, work_tree
from kasmgen.check import past as check_past
from kasmgen.check.environment import CheckedEnvironment
from kasmgen.check.rule import Finding, run
from kasmgen.check.rules import (
    expiry,
    generated,
    inputs,
    leaks,
    overlays,
    reconcilers,
    references,
    since_base,
    validity,
)
from kasmgen.check.work_tree import ProjectFiles
from kasmgen.concurrency import Once, each
from kasmgen.errors import KasmgenError, RepositoryError
from kasmgen.kubernetes import schema_files
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.layout import marks, paths
from kasmgen.programs import age, sops
from kasmgen.programs.libhelm import HelmLibrary
from kasmgen.project import config, workspace
from kasmgen.project.config import CheckOff
from kasmgen.project.workspace import Workspace
from kasmgen.repository import git
from kasmgen.repository.baseline import MissingHistoryError
from kasmgen.review import compare_builds
from kasmgen.review.risks import RiskContext, assess

Progress = Callable[[str], None]


@dataclass(frozen=True)
class CheckSettings:
    """What to look at. now: the time.

    days: how long certificates must last without a warning. kubernetes_version: "" for
    the newest known. base: "" for what `repository.baseline` says.
    """

    now: datetime
    days: int = 30
    kubernetes_version: str = ""
    base: str = ""
    schemas: bool = True
    history: bool = True
    keys: bool = True


@dataclass(frozen=True)
class Checked:
    """findings: of all rules, those that the project has switched off too. skipped: what was not looked at."""

    findings: tuple[Finding, ...]
    off: tuple[CheckOff, ...]
    environments: tuple[str, ...]
    skipped: tuple[str, ...] = ()


def check(
    start: Path,
    select: Callable[[Iterable[str]], Sequence[str]],
    settings: CheckSettings,
    helm: HelmLibrary,
    progress: Progress = lambda _: None,
) -> Checked:
    """What the rules find in the project at or above `start`.

    select: names of all environments -> those to look at. Raises InputError or
    RepositoryError where there is no project, ToolError where a program is missing.
    """
    root = workspace.find_root(start)
    place = git.look(root)
    if place is None:
        raise RepositoryError(f"{root} is in no Git repository", hint="`git init` there, or `kasmgen init`")
    repo, _ = place
    project = config.parse_project(workspace.read_text(root / paths.PROJECT_FILE, paths.PROJECT_FILE))
    library = _library(settings)
    tree = work_tree.look(repo, root, _keys() if settings.keys else None)
    names = tuple(select(tree.environments))
    found = list(work_tree.findings(tree))
    skipped: list[str] = []
    try:
        # Of an overlay without its inputs a rule tells, and the others are looked at all the same.
        space = workspace.load(root, place, complete=False)
    except KasmgenError as error:
        found += run(generated.RULES, generated.Generated(unreadable=(("", error),), orphans=_orphans(tree)))
        found += _without_builds(tree, settings)
        skipped.append("nothing was rendered or built, because the inputs cannot be read")
    else:
        with render.session(root, helm) as session:
            round_ = _Round(tree, space, session, settings, names, library)
            found += round_.findings(progress)
            skipped += round_.skipped
    asked = {"", *names}
    kept = tuple(finding for finding in found if finding.environment in asked or len(names) == len(tree.environments))
    return Checked(kept, project.checks.off, names, tuple(skipped))


def _keys() -> work_tree.Keys:
    """The private keys that sops would find; it is looked for when one of them fits a file."""
    program = Once(sops.locate)
    return work_tree.Keys(age.recipients(), lambda content, path: sops.decrypt(program.take(), content, name=path))


def _library(settings: CheckSettings) -> validity.SchemaLibrary | None:
    if not settings.schemas:
        return None
    known = schema_files.load(settings.kubernetes_version)
    return validity.SchemaLibrary(known.version, known.find, known.definitions)


def _without_builds(tree: ProjectFiles, settings: CheckSettings) -> Iterator[Finding]:
    """The rules that need no build, where there can be none."""
    sealed = {file.path: file.sealed for file in tree.sealed if file.sealed}
    yield from run(expiry.RULES, expiry.Certificates(sealed, settings.now, settings.days))
    yield from run(reconcilers.RULES, _flux(tree, {}))


def _orphans(tree: ProjectFiles) -> dict[str, bool]:
    """Flux objects without an environment -> whether the overlay that they apply is still there."""
    folders = {paths.environment(path) for path in tree.files if path.startswith(f"{paths.CLUSTERS}/")}
    return {
        f"{paths.CLUSTERS}/{name}/kasm.yaml": f"{paths.overlay(name)}/{paths.KUSTOMIZATION}" in tree.files
        for name in sorted(folders - set(tree.environments))
        if f"{paths.CLUSTERS}/{name}/kasm.yaml" in tree.files
    }


def _flux(tree: ProjectFiles, built: Mapping[str, Mapping[ResourceId, Object]]) -> reconcilers.Flux:
    environments = frozenset(file.environment for file in tree.sealed) - {""}
    return reconcilers.Flux(work_tree.reconcilers(tree), tree.prefix, tree.files, environments, built)


@dataclass
class _Round:
    """One run over the environments that can be rendered and built."""

    tree: ProjectFiles
    space: Workspace
    session: render.RenderSession
    settings: CheckSettings
    names: tuple[str, ...]
    library: validity.SchemaLibrary | None
    skipped: list[str] = field(default_factory=list)

    def findings(self, progress: Progress) -> Iterator[Finding]:
        """What the rules about inputs, builds, objects, certificates, Flux and changes find."""
        try:
            foundation = build.lay_foundation(self.session, self.space, self.names)
        except KasmgenError as error:
            yield from run(generated.RULES, generated.Generated(unreadable=(("", error),)))
            yield from _without_builds(self.tree, self.settings)
            self.skipped.append("nothing was built, because the base cannot be rendered")
            return
        yield from run(inputs.RULES, self._inputs(foundation))
        results = dict(zip(self.names, self._environments(foundation, progress), strict=True))
        yield from run(generated.RULES, self._generated(foundation.base.files, results))
        for name, result in results.items():
            yield from self._of_environment(name, result)
        yield from run(expiry.RULES, self._certificates(results))
        yield from run(
            reconcilers.RULES, _flux(self.tree, {name: item.built.objects for name, item in results.items()})
        )
        if self.settings.history:
            yield from self._changes(results)

    def _environments(self, foundation: Foundation, progress: Progress) -> list[CheckedEnvironment]:
        def one(name: str) -> CheckedEnvironment:
            files = self.space.environments[name]
            result = environment.environment(foundation, files, self.tree, self.settings.now)
            progress(name)
            return result

        return each(one, self.names)

    def _inputs(self, foundation: Foundation) -> inputs.Inputs:
        releases = [foundation.base.release]
        for name in self.names:
            # What is wrong with its chart is said where the environment is rendered.
            with suppress(KasmgenError):
                releases.append(self.session.release(self.space.project, self.space.environments[name].environment))
        return inputs.Inputs({release.inputs[-1][0]: tuple(release.loud) for release in releases})

    # --- generated files ---

    def _generated(self, base: Mapping[str, bytes], results: Mapping[str, CheckedEnvironment]) -> generated.Generated:
        planned = dict(base)
        for result in results.values():
            planned |= result.planned or {}
        known = {name for name, result in results.items() if result.planned is not None}
        present = {path: self.tree.read(path) for path in planned}
        for path in sorted(self.tree.files - planned.keys()):
            name = paths.environment(path)
            if path.startswith(f"{paths.BASE}/") or (name in results and not paths.is_sealed(path)):
                content = self.tree.read(path)
                if content is not None and (not name or name in known or isinstance(marks.read(content), marks.Edited)):
                    present[path] = content
        missing = {path: what for result in results.values() for path, what in result.missing.items()}
        return generated.Generated(planned, present, missing, _orphans(self.tree))

    # --- one environment ---

    def _of_environment(self, name: str, result: CheckedEnvironment) -> Iterator[Finding]:
        objects = result.built.objects
        yield from run(overlays.RULES, result.built)
        yield from run(validity.RULES, validity.Objects(name, objects, self.library))
        yield from run(references.RULES, references.References(name, objects, result.external))
        for shown, part, value in leaks.values_of(objects.values()):
            text = leaks.Text(result.built.path, value, name, shown, part, known=self.tree.opened.known)
            yield from run(leaks.RULES, text)

    def _certificates(self, results: Mapping[str, CheckedEnvironment]) -> expiry.Certificates:
        sealed = {file.path: file.sealed for file in self.tree.sealed if file.sealed}
        specs = {path: spec for result in results.values() for path, spec in result.certificates.items()}
        return expiry.Certificates(sealed, self.settings.now, self.settings.days, specs)

    # --- changes ---

    @cached_property
    def _past(self) -> check_past.Past | None:
        try:
            return check_past.find(self.tree.reader, self.space.prefix, self.names, self.settings.base)
        except MissingHistoryError as error:
            self.skipped.append(f"what changed was not looked at, because {error.message}: {error.hint}")
            return None

    def _changes(self, results: Mapping[str, CheckedEnvironment]) -> Iterator[Finding]:
        past = self._past
        # Whoever asks for some environments does not ask for those that are gone.
        every = set(self.tree.environments)
        gone = past.gone - every if past and set(self.names) == every else frozenset()
        if past is None or not (past.changed or gone):
            return
        root = self.session.directory / "past"
        check_past.write(self.tree.reader, past, root)

        def one(name: str) -> list[Finding]:
            new = results[name].built.objects if name in results else {}
            return list(self._changes_of(name, root, past, new, gone=name in gone))

        for found in each(one, sorted(past.changed | gone)):
            yield from found

    def _changes_of(
        self, name: str, top: Path, past: check_past.Past, new: Mapping[ResourceId, Object], *, gone: bool
    ) -> Iterator[Finding]:
        old = check_past.build(
            self.session.programs.kustomize, top, self.space.in_repo(paths.overlay(name)), self.session.cache
        )
        if isinstance(old, KasmgenError):
            self.skipped.append(f"{name} did not build at {past.shown}, so nothing is known of what changed since")
        elif old and (new or gone):
            found = assess(compare_builds(old, new), RiskContext(old, new))
            yield from run(since_base.RULES, since_base.ChangesSince(name, past.shown, found))
