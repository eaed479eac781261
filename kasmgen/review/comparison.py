"""What changes between two sides, environment by environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kasmgen import review
from kasmgen.concurrency import AT_ONCE, Ahead, Once, each
from kasmgen.errors import InputError, KasmgenError
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.review import ObjectChange, risks, sides
from kasmgen.review.sides import OverlayFiles, Side
from kasmgen.yaml.cache import ParseCache

if TYPE_CHECKING:
    from kasmgen.programs.kustomize import Kustomize

Build = Mapping[ResourceId, Object]


@dataclass
class Comparison:
    """Two sides, and what is found out about their environments. program: what builds them."""

    old: Side
    new: Side
    program: Once[Kustomize]
    progress: Callable[[str], None]
    failed: dict[str, str] = field(default_factory=dict)
    cache: ParseCache = field(default_factory=ParseCache)
    known: set[str] = field(default_factory=set, repr=False)
    builders: Ahead = field(init=False, repr=False)
    early: dict[str, Future[Build]] = field(default_factory=dict, init=False, repr=False)

    def report(self, names: Sequence[str]) -> review.Report:
        """What changes in these environments; those that cannot be built are named as failed."""
        before, after = self._overlays(self.old, names), self._overlays(self.new, names)
        changes: dict[str, tuple[ObjectChange, ...]] = dict.fromkeys(names, ())

        def one(name: str) -> None:
            with self._recording(name):
                changes[name] = self._changes(before.get(name), after.get(name))
            self.progress(name)

        with Ahead() as self.builders:
            self._write(self.old, before)
            for name in list(before)[:AT_ONCE]:
                # Builds that can run while the other side is written; a few, for what they make takes memory.
                if name not in self.failed and not _alike(before[name], after.get(name)):
                    self.early[name] = self.builders.start(self._built, self.old, before[name])
            self._write(self.new, after)
            for side in (self.old, self.new):
                self.known |= review.known_values(side.clear_secrets(self.cache))
            each(one, [name for name in names if name not in self.failed])
        return review.group(
            changes,
            added=after.keys() - before.keys(),
            removed=before.keys() - after.keys(),
            failed=self.failed,
            base=self.old.files.label,
            head=self.new.files.label,
            known=self.known,
        )

    def _overlays(self, side: Side, names: Sequence[str]) -> dict[str, OverlayFiles]:
        """The environments that a side has."""
        side.ready()
        found: dict[str, OverlayFiles] = {}
        for name in names:
            if side.has(name):
                with self._recording(name), _naming(side):
                    found[name] = side.overlay(name)
        return found

    def _write(self, side: Side, found: Mapping[str, OverlayFiles]) -> None:
        """Make a side's environments ready to be built."""
        try:
            side.write(found.values())
        except KasmgenError:
            # One of them is too much or cannot be written; the others need not suffer for it.
            for name, overlay in found.items():
                with self._recording(name), _naming(side):
                    side.write([overlay])

    def _changes(self, old: OverlayFiles | None, new: OverlayFiles | None) -> tuple[ObjectChange, ...]:
        if new is not None and _alike(old, new):
            # Built all the same: that nothing changes is not to be said of what does not build.
            if self.new.generates_secrets(new):
                self._built(self.new, new)
                return ()
            with _naming(self.new):
                self.new.require_builds(self.program.take(), new, self.cache)
            return ()
        now = self.builders.start(self._built, self.new, new)
        early = self.early.pop(old.name, None) if old else None
        was = (early or self.builders.start(self._built, self.old, old)).result()
        return risks.assess(review.compare_builds(was, now.result()), risks.RiskContext(was, now.result()))

    def _built(self, side: Side, overlay: OverlayFiles | None) -> Build:
        if overlay is None:
            return {}
        with _naming(side):
            built = side.build(self.program.take(), overlay, self.cache)
        # Values may stand elsewhere, in an environment without changes or beside one that does not build.
        self.known |= review.known_values(built.values())
        return built

    @contextmanager
    def _recording(self, name: str) -> Iterator[None]:
        try:
            yield
        except KasmgenError as error:
            self.failed[name] = sides.reason(error)


def _alike(old: OverlayFiles | None, new: OverlayFiles | None) -> bool:
    return old is not None and new is not None and old.digest == new.digest


@contextmanager
def _naming(side: Side) -> Iterator[None]:
    try:
        yield
    except KasmgenError as error:
        raise InputError(f"at {side.files.label}: {error.message}") from None
