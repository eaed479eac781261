"""Network policies: what lets more through than before, and what only looks as if it did."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.kubernetes.resources import Object
from kasmgen.review.builds import compare_builds
from kasmgen.review.risks import RiskContext, assess, selectors, traffic
from tests.review.builds import build, deployment, plain

KEPT = {"annotations": {"kustomize.toolkit.fluxcd.io/prune": "disabled"}}


def exposed(old: list[Object], new: list[Object]) -> list[str]:
    """What the report says is exposed, over all objects."""
    before, now = build(*old), build(*new)
    changes = assess(compare_builds(before, now), RiskContext(before, now))
    return [risk.reason for change in changes for risk in change.risks if risk.id == "exposed"]


def policy(name: str, app: str | None, rules: list[Any], types: tuple[str, ...] = ("Ingress",), **more: Any) -> Object:
    selector = {"matchLabels": {"app": app}} if app else {}
    body = {"podSelector": selector, "policyTypes": list(types), "ingress": rules, "egress": more.pop("egress", [])}
    return plain("NetworkPolicy", name, "networking.k8s.io/v1", spec=body, **more)


def apps(*names: str, operator: str = "In") -> dict[str, Any]:
    return {"podSelector": {"matchExpressions": [{"key": "app", "operator": operator, "values": list(names)}]}}


def labelled(**labels: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels}}


def block(cidr: str, *but: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr, **({"except": list(but)} if but else {})}}


def port(number: int | str, **more: Any) -> dict[str, Any]:
    return {"port": number, **more}


def rule(*peers: dict[str, Any], ports: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {**({"from": list(peers)} if peers else {}), **({"ports": list(ports)} if ports else {})}


# --- one policy ---------------------------------------------------------------

NARROWER = {
    "fewer values": (rule(apps("api", "web", "share")), rule(apps("api", "web"))),
    "one value, said as a label": (rule(apps("api", "web")), rule(labelled(app="api"))),
    "more labels": (rule(labelled(app="api")), rule(labelled(app="api", tier="back"))),
    "more is refused": (rule(apps("a", operator="NotIn")), rule(apps("a", "b", operator="NotIn"))),
    "a label of others": (rule(apps("a", operator="NotIn")), rule(labelled(app="b"))),
    "a label that has to be there": (rule(apps(operator="Exists")), rule(labelled(app="b"))),
    "two peers become one": (rule(labelled(app="a"), labelled(app="b")), rule(apps("a", "b"))),
    "two rules become one": (rule(apps("a", "b")), rule(labelled(app="a"), labelled(app="b"))),
    "a smaller block": (rule(block("10.0.0.0/8")), rule(block("10.1.0.0/16"))),
    "a block with more exceptions": (
        rule(block("10.0.0.0/8", "10.1.0.0/16")),
        rule(block("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16")),
    ),
    "a block beside the exception": (rule(block("10.0.0.0/8", "10.1.0.0/16")), rule(block("10.2.0.0/16"))),
    "everybody becomes somebody": (rule(), rule(labelled(app="a"), ports=(port(80),))),
    "a range of ports": (
        rule(labelled(app="a"), ports=(port(8000, endPort=9000),)),
        rule(labelled(app="a"), ports=(port(8080),)),
    ),
    "every port of a protocol": (
        rule(labelled(app="a"), ports=({"protocol": "UDP"},)),
        rule(labelled(app="a"), ports=(port(53, protocol="UDP"),)),
    ),
    "only the own namespace": (
        rule({"podSelector": {}, "namespaceSelector": {}}),
        rule(labelled(app="a")),
    ),
    "the own namespace by its name": (
        rule(labelled(app="a")),
        rule({**labelled(app="a"), "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kasm"}}}),
    ),
}


@pytest.mark.parametrize("old", NARROWER)
def test_what_only_narrows_exposes_nothing_and_the_way_back_does(old: str) -> None:
    before, now = (policy("n", "db", [side]) for side in NARROWER[old])
    assert exposed([before], [now]) == []
    same = ("two rules", "two peers", "the own namespace by")
    assert bool(exposed([now], [before])) is not old.startswith(same)


WIDER = {
    "pods labelled app=web on every port": (rule(apps("api")), rule(apps("api", "web"))),
    "pods labelled app in (a, b) on 80/TCP": (rule(), rule(apps("a", "b"), ports=(port(80),))),
    "pods labelled app not in (a) on every port": (rule(labelled(app="b")), rule(apps("a", operator="NotIn"))),
    "addresses in 10.0.0.0/8 but 10.1.0.0/16 on every port": (
        rule(block("10.0.0.0/8", "10.0.0.0/15")),
        rule(block("10.0.0.0/8", "10.1.0.0/16")),
    ),
    "addresses in ::/0 on every port": (rule(block("0.0.0.0/0")), rule(block("::/0"))),
    "pods labelled app=a on 22/TCP": (
        rule(labelled(app="a"), ports=(port(80),)),
        rule(labelled(app="a"), ports=(port(80), port(22))),
    ),
    "pods labelled app=a on 80-90/TCP": (
        rule(labelled(app="a"), ports=(port(80),)),
        rule(labelled(app="a"), ports=(port(80, endPort=90),)),
    ),
    "pods labelled app=a on 80/UDP": (
        rule(labelled(app="a"), ports=(port(80),)),
        rule(labelled(app="a"), ports=(port(80, protocol="UDP"),)),
    ),
    "pods labelled app=a on http/TCP": (
        rule(labelled(app="a"), ports=(port(80),)),
        rule(labelled(app="a"), ports=(port("http"),)),
    ),
    "every pod of every namespace on every port": (
        rule(labelled(app="a")),
        rule({"namespaceSelector": {}}),
    ),
    "pods labelled app=a of namespace other on every port": (
        rule(labelled(app="a")),
        rule({**labelled(app="a"), "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}),
    ),
    "everybody on every port": (rule(labelled(app="a")), rule()),
}


@pytest.mark.parametrize("words", WIDER)
def test_what_widens_is_told_in_words(words: str) -> None:
    old, new = WIDER[words]
    before = policy("n", "db", [old] if old else [])
    assert exposed([before], [policy("n", "db", [new])]) == [f"traffic in is allowed that was not: {words}"]


def test_only_what_is_new_is_told_of_a_long_list() -> None:
    old, new = ([rule(apps(*names), ports=(port(80), port(81)))] for names in (["a", "b"], ["a", "b", "c"]))
    (told,) = exposed([policy("n", "db", old)], [policy("n", "db", new)])
    assert told == "traffic in is allowed that was not: pods labelled app=c on 80/TCP, pods labelled app=c on 81/TCP"


# --- pods that stay, go and come ---------------------------------------------


def test_a_policy_that_goes_with_its_pods_exposes_nothing() -> None:
    assert exposed([deployment("db"), policy("n", "db", [])], []) == []
    assert exposed([deployment("db"), deployment("web"), policy("n", "db", [])], [deployment("web")]) == []


@pytest.mark.parametrize("stays", [[deployment("db")], [deployment("db"), policy("other", "web", [])]])
def test_a_policy_that_goes_alone_opens_its_pods(stays: list[Object]) -> None:
    assert exposed([deployment("db"), policy("n", "db", []), *stays[1:]], stays) == [
        "the NetworkPolicy is removed: what it kept away can connect"
    ]


def test_pods_that_nobody_knows_count_as_there() -> None:
    assert exposed([policy("n", "workspace", [])], []) != []


def test_a_policy_that_goes_while_another_limits_the_same_pods_exposes_nothing() -> None:
    wide = policy("everything", None, [], types=("Ingress", "Egress"))
    assert exposed([deployment("db"), policy("n", "db", []), wide], [deployment("db"), wide]) == []
    assert exposed([policy("n", "workspace", []), wide], [wide]) == []
    one_way = policy("everything", None, [], types=("Egress",))
    assert exposed([deployment("db"), policy("n", "db", []), one_way], [deployment("db"), one_way]) != []


def test_a_policy_that_flux_leaves_in_the_cluster_goes_on_limiting() -> None:
    assert exposed([deployment("db"), policy("n", "db", [], metadata=KEPT)], [deployment("db")]) == []


def test_pods_that_a_policy_leaves_are_open_if_they_stay() -> None:
    old = [deployment("db"), deployment("web"), policy("n", None, [])]
    assert exposed(old, [deployment("db"), deployment("web"), policy("n", "db", [])]) == [
        "the NetworkPolicy covers other pods: those that it leaves are open"
    ]
    assert exposed(old, [deployment("db"), policy("n", "db", [])]) == []
    assert exposed([deployment("db"), policy("n", "db", [])], [deployment("db"), policy("n", None, [])]) == []


def test_a_new_policy_that_lets_through_what_others_kept_away_is_told() -> None:
    closed = [deployment("db"), policy("closed", None, [])]
    opened = policy("open", "db", [rule(labelled(app="api"), ports=(port(5432),))])
    assert exposed(closed, [*closed, opened]) == [
        "traffic in is allowed that was not: pods labelled app=api on 5432/TCP"
    ]
    # Where nothing was kept away, a policy only limits; and new pods bring their own.
    assert exposed([deployment("db")], [deployment("db"), opened]) == []
    assert exposed([policy("closed", None, [])], [*closed, opened]) == []


def test_a_policy_that_reaches_more_pods_opens_those_that_others_limit() -> None:
    closed = [deployment("db"), deployment("web"), policy("closed", None, [])]
    narrow, wide = policy("open", "web", [rule()]), policy("open", None, [rule()])
    assert exposed([*closed, narrow], [*closed, wide]) == [
        "traffic in is allowed that was not: everybody on every port"
    ]


def test_traffic_out_is_judged_too() -> None:
    def egress(*rules: Any) -> Object:
        return policy("n", "db", [], types=("Ingress", "Egress"), egress=list(rules))

    old, new = ({"to": [block(cidr)]} for cidr in ("10.0.0.0/8", "0.0.0.0/0"))
    assert exposed([egress(old)], [egress(new)]) == [
        "traffic out is allowed that was not: addresses in 0.0.0.0/0 on every port"
    ]
    assert exposed([egress(new)], [egress(old)]) == []


# --- the logic, against every set of labels -----------------------------------

LABELS = [
    {key: value for key, value in zip("ab", pair, strict=True) if value}
    for pair in itertools.product(["", "x", "y", "z"], repeat=2)
]
REQUIREMENTS = st.builds(
    lambda key, operator, values: selectors.Requirement(
        key, operator, tuple(sorted(values)) if operator in ("In", "NotIn") else ()
    ),
    st.sampled_from("ab"),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.sets(st.sampled_from("xyz"), min_size=1),
)
SELECTORS = st.lists(REQUIREMENTS, max_size=3, unique=True).map(lambda found: tuple(sorted(found)))


def selected(selector: selectors.Selector) -> list[dict[str, str]]:
    return [labels for labels in LABELS if selectors.selects(selector, labels)]


@settings(max_examples=400, deadline=None)
@given(SELECTORS, SELECTORS)
def test_a_selector_that_is_within_another_selects_nothing_else(
    inner: selectors.Selector, outer: selectors.Selector
) -> None:
    if selectors.within(inner, outer):
        assert [labels for labels in selected(inner) if labels not in selected(outer)] == []


@settings(max_examples=200, deadline=None)
@given(SELECTORS)
def test_a_selector_in_pieces_selects_the_same(selector: selectors.Selector) -> None:
    pieces = [labels for piece in selectors.split(selector) for labels in selected(piece)]
    whole = selected(selector)
    assert [labels for labels in whole if labels not in pieces] == []
    assert [labels for labels in pieces if labels not in whole] == []


@settings(max_examples=300, deadline=None)
@given(st.lists(SELECTORS, max_size=3), st.lists(SELECTORS, max_size=3))
def test_what_is_not_told_as_wider_was_open_before(
    old: list[selectors.Selector], new: list[selectors.Selector]
) -> None:
    def flows(found: list[selectors.Selector]) -> list[traffic.Flow]:
        return [traffic.Flow(traffic.Pods(pods, (), own=True), traffic.Port("TCP", 80, 80)) for pods in found]

    told = [flow.peer.pods for flow in traffic.wider(flows(new), flows(old)) if isinstance(flow.peer, traffic.Pods)]
    reached = [labels for selector in [*old, *told] for labels in selected(selector)]
    assert [labels for selector in new for labels in selected(selector) if labels not in reached] == []
