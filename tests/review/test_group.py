"""The same change in many environments is told once."""

from __future__ import annotations

from kasmgen.kubernetes.resources import Object
from kasmgen.review import Report, compare_builds, group
from kasmgen.review.changes import ObjectChange
from kasmgen.review.grouping import FailedEnvironment
from tests.review.builds import build, deployment, edited, plain, sealed

IMAGE = "spec.template.spec.containers.0.image"


def changes(old: Object, *edits: tuple[str, object]) -> tuple[ObjectChange, ...]:
    return compare_builds(build(old), build(edited(old, *edits)))


def states(report: Report) -> dict[str, str]:
    return {
        environment.name: "failed" if isinstance(environment, FailedEnvironment) else environment.state
        for environment in report.environments
    }


def test_one_entry_for_the_same_change() -> None:
    per = {f"env-{i:02}": changes(deployment(), (IMAGE, "x:2")) for i in range(50)}
    per["other"] = changes(deployment(), (IMAGE, "x:3"))
    report = group(per)
    assert [len(entry.environments) for entry in report.entries] == [50, 1]


def test_the_namespace_does_not_keep_changes_apart() -> None:
    other = edited(deployment(), ("metadata.namespace", "kasm-b"))
    report = group({"a": changes(deployment(), (IMAGE, "x:2")), "b": changes(other, (IMAGE, "x:2"))})
    (entry,) = report.entries
    assert (entry.environments, entry.namespaces) == (("a", "b"), ("kasm", "kasm-b"))


def test_two_namespaces_of_one_environment_stay_apart() -> None:
    twin = edited(deployment(), ("metadata.namespace", "twin"))
    old, new = build(deployment(), twin), build(*(edited(obj, (IMAGE, "x:2")) for obj in (deployment(), twin)))
    report = group({"a": compare_builds(old, new), "b": compare_builds(old, new)})
    assert [entry.environments for entry in report.entries] == [("a", "b"), ("a", "b")]
    assert [entry.namespaces for entry in report.entries] == [("kasm",), ("twin",)]


def test_ciphertexts_and_own_annotations_do_not_keep_changes_apart() -> None:
    def rotate(env: str) -> tuple[ObjectChange, ...]:
        old = sealed("db", {"password": f"A{env}", "user": f"B{env}"}, wrapped=f"k-{env}")
        return changes(old, ("data.password", f"ENC[AES256_GCM,data:{env},iv:aXY=,tag:dGFn,type:str]"))

    def restart(env: str) -> tuple[ObjectChange, ...]:
        old = edited(deployment(), ("spec.template.metadata.annotations", {"kasmgen.dev/secrets": env}))
        return changes(old, ("spec.template.metadata.annotations", {"kasmgen.dev/secrets": f"new-{env}"}))

    report = group({env: rotate(env) + restart(env) for env in ("aaaa", "bbbb")})
    assert [entry.environments for entry in report.entries] == [("aaaa", "bbbb")] * 2


def test_clear_values_that_differ_keep_additions_together_and_are_not_shown() -> None:
    def add(value: str) -> tuple[ObjectChange, ...]:
        return compare_builds({}, build(plain("Secret", "s", stringData={"k": value})))

    (entry,) = group({"a": add("value-one"), "b": add("value-two")}).entries
    assert entry.environments == ("a", "b")


def test_what_could_not_be_built_is_never_no_change() -> None:
    report = group({"a": (), "b": ()}, failed={"b": "kustomize failed", "c": "no such chart"})
    assert states(report) == {"a": "same", "b": "failed", "c": "failed"}
    assert report.different
    assert report.severity == "error"
    assert [environment.error for environment in report.failed] == ["kustomize failed", "no such chart"]


def test_environments_that_come_and_go() -> None:
    whole = build(deployment())
    report = group({"new": compare_builds({}, whole), "old": compare_builds(whole, {})}, added={"new"}, removed={"old"})
    assert states(report) == {"new": "added", "old": "removed"}


def test_nothing_changed_anywhere() -> None:
    report = group({"a": (), "b": ()})
    assert not report.different
    assert report.severity is None


def test_the_known_values_of_all_environments_are_put_together() -> None:
    def rotate(value: str) -> tuple[ObjectChange, ...]:
        return changes(plain("Secret", "s", stringData={"k": value}), ("stringData.k", value + "-new"))

    known = group({"a": rotate("value-one"), "b": rotate("value-two")}, known=["value-three"]).known
    assert {"value-one", "value-two-new", "value-three"} <= known
