"""Which Secrets there have to be, and what happens to each of them."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import Object, Rendered, ResourceId, Secret
from kasmgen.layout.annotations import INPUTS, PINNED, SECRETS
from kasmgen.secrets import certificates, passwords, required, rollout, supplied, tls
from kasmgen.secrets import plan as secrets_plan
from kasmgen.secrets.plan import Add, Create, Existing, Keep, Plan, Replace, Sources
from kasmgen.secrets.recipients import of_metadata
from kasmgen.secrets.required import Derived, Fixed, Generate, RequiredSecret, SecretEntry
from kasmgen.secrets.sealed_file import Sealed
from kasmgen.secrets.supplied import Supplied
from tests.some import some

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = ResourceId("Secret", "kasm", "kasm-secrets")
SPEC = certificates.documented("db", hostname="kasm.example.com", namespace="kasm", key_type="ecdsa-p256")
PATH = "overlays/prod/secrets/kasm-secrets.sops.yaml"


def secret(entries: dict[str, SecretEntry] | None = None, **more: Any) -> RequiredSecret:
    return RequiredSecret(ID, "Opaque", entries or {}, **more)


def existing(
    *keys: str, namespace: str = "kasm", name: str = "kasm-secrets", path: str = PATH, annotations: Any = None
) -> Existing:
    sealed = Sealed(
        path, name, namespace, "Opaque", annotations or {}, {}, dict.fromkeys(keys, "ENC[x]"), (), of_metadata({}),
        True, "", True,
    )  # fmt: skip
    return Existing(path, b"sealed", sealed)


def sources() -> Sources:
    counter = itertools.count()
    stream = (byte for number in counter for byte in hashlib.sha256(str(number).encode()).digest())
    return Sources(lambda n: bytes(itertools.islice(stream, n)), tls.new_key, NOW)


def decide(made: RequiredSecret, there: Existing | None) -> Plan:
    return secrets_plan.decide("prod", made, there, [], NOW)


def fill(plan: Plan, passed: dict[str, Secret] | None = None) -> tuple[dict[str, Secret], dict[str, str]]:
    assert not isinstance(plan, Keep)
    return secrets_plan.fill(plan, sources(), passed or {})


# --- decide ----------------------------------------------------------------------------

FOLLOW: dict[str, SecretEntry] = {"f": Derived(Secret("1")), "g": Derived(Secret("2"))}
MIXED: dict[str, SecretEntry] = {"f": Derived(Secret("1")), "p": Generate()}
SAME = {INPUTS: secret(FOLLOW).inputs}
OTHER = {INPUTS: "what the chart made before"}


@pytest.mark.parametrize(
    ("entries", "there", "case", "keys"),
    [
        ({"a": Generate(), "b": Generate()}, None, Create, {"a", "b"}),
        ({"a": Generate()}, existing("a"), Keep, set()),
        ({"a": Generate()}, existing("a", "own"), Keep, set()),
        ({"a": Generate(), "b": Generate()}, existing("a"), Add, {"b"}),
        ({"a": Fixed(Secret("x"))}, existing("a"), Keep, set()),
        (FOLLOW, existing("f", "g", annotations=SAME), Keep, set()),
        (FOLLOW, existing("f", "g", annotations=OTHER), Replace, {"f", "g"}),
        (FOLLOW, existing("f", annotations=OTHER), Replace, {"f", "g"}),
        (FOLLOW, existing("f", "g", "own", annotations=OTHER), Add, {"f", "g"}),
        (MIXED, existing("f", "p", annotations=OTHER), Add, {"f"}),
        (MIXED, existing("f", annotations={INPUTS: secret(MIXED).inputs}), Add, {"p"}),
        ({"a": Generate()}, existing("a", annotations=OTHER), Keep, set()),
        (FOLLOW, existing("f", "g", annotations={PINNED: "f,g"}), Keep, set()),
        (FOLLOW, existing("f", "g", annotations={PINNED: "f", **OTHER}), Add, {"g"}),
    ],
)
def test_a_sealed_secret_is_changed_only_where_it_must_be(
    entries: dict[str, SecretEntry], there: Existing | None, case: type[Plan], keys: set[str]
) -> None:
    plan = decide(secret(entries), there)
    filled = frozenset() if isinstance(plan, Keep) else plan.keys
    assert (type(plan), filled, plan.path) == (case, keys, PATH)


@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from([Generate(), Fixed(Secret("x")), Derived(Secret("y"))])),
    st.sets(st.sampled_from("abcd")),
    st.sampled_from([None, "", "other"]),
)
@settings(deadline=None, max_examples=200)
def test_nothing_that_was_generated_or_given_is_ever_made_again(
    entries: dict[str, SecretEntry], there: set[str], inputs: str | None
) -> None:
    made = secret(entries)
    annotations = {} if inputs is None else {INPUTS: inputs or made.inputs}
    plan = decide(made, existing(*there, annotations=annotations))
    filled = frozenset() if isinstance(plan, Keep) else plan.keys
    for key in filled & there:
        assert isinstance(entries[key], Derived)
    if isinstance(plan, Replace):
        assert not there - set(entries)
    if isinstance(plan, Keep):
        assert set(entries) <= there


def test_a_pair_that_lost_a_part_is_made_anew_as_a_whole() -> None:
    plan = decide(secret(certificate=SPEC, authority=True), existing("tls.crt", "tls.key"))
    assert isinstance(plan, Add)
    assert plan.keys == {"tls.crt", "tls.key", "ca.crt"}
    assert any("all of it is made anew" in report for report in plan.reports)


def test_a_certificate_that_no_longer_fits_is_reported_and_kept() -> None:
    old = tls.issue(SPEC, now=NOW - timedelta(days=9000), key=tls.new_key("ecdsa-p256"), serial=1)
    there = existing("tls.crt", "tls.key", annotations=tls.facts(old.certificate))
    plan = decide(secret(certificate=SPEC), there)
    assert isinstance(plan, Keep)
    assert all(report.startswith(PATH) for report in some(plan.reports))


# --- find, paths, lost files --------------------------------------------------------------


def test_a_secret_is_found_by_namespace_and_name_else_by_name_alone() -> None:
    here, there = existing(), existing(namespace="other", path="x")
    assert secrets_plan.find(secret(), [there, here]) is here
    assert secrets_plan.find(secret(), [there]) is there
    assert secrets_plan.find(secret(), [there, existing(namespace="third", path="y")]) is None
    assert secrets_plan.find(secret(), [existing(name="other")]) is None


def test_two_secrets_of_one_name_get_two_files() -> None:
    first = secrets_plan.file_path("prod", ID, [])
    second = secrets_plan.file_path("prod", ResourceId("Secret", "other", "kasm-secrets"), [first])
    assert first == PATH
    assert second == "overlays/prod/secrets/other.kasm-secrets.sops.yaml"


def test_a_secret_that_is_committed_and_gone_from_the_work_tree_is_never_made_anew() -> None:
    plan = decide(secret({"a": Generate()}), None)
    with pytest.raises(SecretError, match="is in the last commit but not in the work tree") as caught:
        secrets_plan.refuse_lost([plan], lambda path: path == PATH)
    assert caught.value.hint == f"git restore {PATH}"
    secrets_plan.refuse_lost([plan], lambda _: False)
    secrets_plan.refuse_lost([decide(secret({"a": Generate()}), existing("a"))], lambda _: True)


# --- fill ------------------------------------------------------------------------------------


def test_each_value_comes_from_where_its_entry_says() -> None:
    entries: dict[str, SecretEntry] = {
        "g": Generate(),
        "h": Generate(),
        "v": Fixed(Secret("given")),
        "f": Derived(Secret("follow")),
    }
    data, annotations = fill(decide(secret(entries), None))
    assert (data["v"], data["f"]) == (Secret("given"), Secret("follow"))
    for key in ("g", "h"):
        text = data[key].reveal().decode()
        assert len(text) == passwords.LENGTH
        assert text.isalnum()
    assert data["g"] != data["h"]
    assert annotations == {INPUTS: secret(entries).inputs}


def test_brought_values_win_and_empty_ones_do_not_count() -> None:
    plan = decide(secret({"g": Generate(), "v": Fixed(Secret("given"))}), None)
    data, _ = fill(plan, {"g": Secret("mine"), "v": Secret("")})
    assert data == {"g": Secret("mine"), "v": Secret("given")}


def test_a_brought_value_that_the_chart_makes_too_is_pinned_and_follows_no_more() -> None:
    made = secret(FOLLOW)
    data, annotations = fill(decide(made, None), {"f": Secret("mine")})
    assert data == {"f": Secret("mine"), "g": Secret("2")}
    assert annotations[PINNED] == "f"
    there = existing("f", "g", annotations=annotations)
    assert isinstance(decide(made, there), Keep)
    changed = secret({"f": Derived(Secret("new")), "g": Derived(Secret("2"))})
    assert isinstance(decide(changed, there), Keep)


def test_only_the_keys_of_the_plan_are_filled() -> None:
    plan = decide(secret({"a": Generate(), "b": Generate()}), existing("a"))
    assert set(fill(plan)[0]) == {"b"}


def test_a_certificate_is_issued_with_its_facts_in_clear() -> None:
    data, annotations = fill(decide(secret(certificate=SPEC, authority=True), None))
    tls.check_pair(data["tls.crt"].reveal(), data["tls.key"])
    assert data["ca.crt"] == data["tls.crt"]
    assert annotations == tls.facts(data["tls.crt"].reveal())
    assert b"PRIVATE" not in data["tls.crt"].reveal()


@pytest.mark.parametrize("authority", [True, False])
def test_a_brought_pair_is_taken_and_named_as_brought(authority: bool) -> None:
    own = tls.issue(SPEC, now=NOW, key=tls.new_key("ecdsa-p256"), serial=9)
    passed = {"tls.crt": Secret(own.certificate), "tls.key": own.key}
    data, annotations = fill(decide(secret(certificate=SPEC, authority=authority), None), passed)
    assert data == {**passed, **({"ca.crt": passed["tls.crt"]} if authority else {})}
    assert annotations == tls.facts(own.certificate, supplied=True)
    if authority:
        plan = decide(secret(certificate=SPEC, authority=True), None)
        assert fill(plan, {**passed, "ca.crt": Secret("the real one")})[0]["ca.crt"] == Secret("the real one")


def test_a_pair_that_does_not_belong_together_or_is_half_is_refused() -> None:
    one, two = (tls.issue(SPEC, now=NOW, key=tls.new_key("ecdsa-p256"), serial=9) for _ in range(2))
    plan = decide(secret(certificate=SPEC), None)
    with pytest.raises(SecretError):
        fill(plan, {"tls.crt": Secret(one.certificate), "tls.key": two.key})
    with pytest.raises(SecretError, match=r"tls\.crt was passed without the other half"):
        fill(plan, {"tls.crt": Secret(one.certificate)})
    with pytest.raises(SecretError, match=r"tls\.key was passed without"):
        fill(plan, {"tls.key": one.key, "tls.crt": Secret("")})


def test_no_value_shows_in_the_repr_of_a_plan() -> None:
    plan = decide(secret({"v": Fixed(Secret("hunter2")), "f": Derived(Secret("hunter2"))}), None)
    assert "hunter2" not in f"{plan!r}{plan}{fill(plan)}"


# --- what a chart's render asks for ---------------------------------------------------------------


def rendered(data: dict[str, Any] | None = None, kind: str = "data", **more: Any) -> Rendered:
    obj: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "n"},
        kind: data,
        **more,
    }
    return Rendered(ResourceId.of(obj), obj, "chart/templates/s.yaml")


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def test_data_and_string_data_are_decoded_and_string_data_wins() -> None:
    obj = rendered({"a": b64(b"\xff\0"), "b": None, "c": b64("x") + "\n"}).object
    obj = {**obj, "stringData": {"c": "y", "n": 5, "t": True, "z": None, "e": ""}}
    assert required.data_of(obj) == {
        "a": Secret(b"\xff\0"), "b": Secret(""), "c": Secret("y"), "n": Secret("5"), "t": Secret("true"),
        "z": Secret(""), "e": Secret(""),
    }  # fmt: skip


def test_data_that_is_no_base64_is_named_and_not_quoted() -> None:
    with pytest.raises(InputError, match=r"Secret s: data\.k is no base64") as caught:
        required.data_of(rendered({"k": "hunter2!!"}).object)
    assert "hunter2" not in str(caught.value)


def test_what_two_renders_agree_on_follows_and_the_rest_is_frozen() -> None:
    first, second = rendered({"same": b64("1"), "random": b64("2")}), rendered({"same": b64("1"), "random": b64("3")})
    made = required.from_render(first, second)
    assert made.entries == {"same": Derived(Secret("1")), "random": Fixed(Secret("2"))}
    assert made.type == "Opaque"
    assert required.from_render(first, None).entries["same"] == Fixed(Secret("1"))


def test_a_pair_that_is_random_gets_a_certificate_of_ours() -> None:
    pairs = [tls.issue(SPEC, now=NOW, key=tls.new_key("ecdsa-p256"), serial=n) for n in (1, 2)]
    first, second = (
        rendered({"tls.crt": b64(p.certificate), "tls.key": b64(p.key.reveal()), "ca.crt": b64("ca"), "x": b64("1")})
        for p in pairs
    )
    assert required.random_pair(first, second) == pairs[0].certificate
    assert required.random_pair(first, first) is None
    assert required.random_pair(rendered({"tls.crt": b64("no certificate"), "tls.key": b64("1")}), None) is None
    made = required.from_render(first, second, tls=SPEC)
    assert set(made.entries) == {"x"}
    assert made.keys == {"tls.crt", "tls.key", "ca.crt", "x"}


def test_inputs_change_with_what_follows_and_with_nothing_else() -> None:
    base = secret(MIXED).inputs
    assert base == secret({**MIXED, "q": Generate()}).inputs == secret(dict(reversed(MIXED.items()))).inputs
    assert base != secret({**MIXED, "f": Derived(Secret("2"))}).inputs
    assert secret({"a": Derived(Secret("b"))}).inputs != secret({"ab": Derived(Secret(""))}).inputs
    assert secret({"p": Generate()}).inputs == ""


# --- what people bring ------------------------------------------------------------------------------

PASSWORDS = RequiredSecret(ID, "Opaque", {"db-password": Generate(), "token": Generate()}, role="passwords")
OTHERS = RequiredSecret(ResourceId("Secret", "kasm", "other"), "Opaque", {"token": Generate(), "only-here": Generate()})
THIRD = RequiredSecret(ResourceId("Secret", "kasm", "third"), "Opaque", {"only-here": Generate()})
INGRESS = RequiredSecret(ResourceId("Secret", "kasm", "tls"), required.TLS, certificate=SPEC, role="ingress")


def test_passwords_find_their_secret_by_key_by_upstreams_name_and_by_path() -> None:
    passed = Supplied({"dbPassword": Secret("1"), "token": Secret("2"), "other/token": Secret("3")})
    found = supplied.assign(passed, [PASSWORDS, OTHERS])
    assert found[PASSWORDS.id] == {"db-password": Secret("1"), "token": Secret("2")}
    assert found[OTHERS.id] == {"token": Secret("3")}


@pytest.mark.parametrize(
    ("key", "said"), [("only-here", "is in several Secrets"), ("nothing", "a key of it is in no Secret")]
)
def test_a_password_that_belongs_to_none_or_to_several_is_refused_without_its_value(key: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        supplied.assign(Supplied({key: Secret("hunter2")}), [PASSWORDS, OTHERS, THIRD])
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("mask", ["**SOPS**", "***", "ENC[AES256_GCM,data:x]", "<redacted>", "changeme"])
def test_the_mask_of_a_tool_is_no_password(mask: str) -> None:
    with pytest.raises(SecretError, match="placeholder or the mask"):
        supplied.assign(Supplied({"token": Secret(mask)}), [PASSWORDS])


def test_brought_pairs_go_to_the_secret_of_their_role() -> None:
    found = supplied.assign(Supplied(pairs={"ingress": (b"cert", Secret("key")), "db": (b"x", Secret("y"))}), [INGRESS])
    assert found[INGRESS.id] == {"tls.crt": Secret(b"cert"), "tls.key": Secret("key")}


def test_a_registry_login_is_what_kubectl_makes_of_it() -> None:
    login = {
        "registry": Secret("r.example"),
        "username": Secret("u"),
        "password": Secret('p"\\ü'),
        "email": Secret("e@x"),
    }
    made = supplied.registry_secret("pull", "kasm", login)
    data, _ = fill(secrets_plan.decide("prod", made, None, [], NOW))
    auth = {"username": "u", "password": 'p"\\ü', "email": "e@x", "auth": b64('u:p"\\ü')}
    assert json.loads(data[".dockerconfigjson"].reveal()) == {"auths": {"r.example": auth}}
    assert made.type == "kubernetes.io/dockerconfigjson"


@pytest.mark.parametrize("part", ["registry", "username", "password"])
def test_a_registry_login_without_a_part_names_the_option(part: str) -> None:
    login = {key: Secret("x") for key in ("registry", "username", "password") if key != part}
    with pytest.raises(InputError, match=f"the {part} is missing") as caught:
        supplied.registry_secret("pull", "kasm", login)
    assert caught.value.hint.startswith("pass --registry-")


# --- pods that use a Secret ----------------------------------------------------------------------------


def pod(**spec: Any) -> Object:
    return {"spec": {"containers": [{"name": "c", **spec.pop("container", {})}], **spec}}


def kinds_of_use() -> dict[str, Callable[[str], Object]]:
    return {
        "volume": lambda name: pod(volumes=[{"name": "v", "secret": {"secretName": name}}]),
        "projected": lambda name: pod(volumes=[{"projected": {"sources": [{"secret": {"name": name}}]}}]),
        "env": lambda name: pod(container={"env": [{"valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}]}),
        "envFrom": lambda name: pod(container={"envFrom": [{"secretRef": {"name": name}}]}),
        "init": lambda name: pod(initContainers=[{"envFrom": [{"secretRef": {"name": name}}]}]),
        "csi": lambda name: pod(volumes=[{"csi": {"nodePublishSecretRef": {"name": name}}}]),
    }


def deployment(template: Object, namespace: str = "kasm") -> Object:
    metadata = {"name": "d", "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": template}}


def marked(template: Object, revisions: dict[tuple[str, str], str], namespace: str = "kasm") -> str | None:
    made = rollout.mark_secrets(deployment(template, namespace), revisions)
    annotations = (made["spec"]["template"].get("metadata") or {}).get("annotations") or {}
    found: str | None = annotations.get(SECRETS)
    return found


@pytest.mark.parametrize("use", kinds_of_use())
def test_a_pod_template_is_marked_by_what_it_reads_and_changes_with_it_alone(use: str) -> None:
    template = kinds_of_use()[use]("s")
    one = marked(template, {("kasm", "s"): "1", ("kasm", "unused"): "1", ("other", "s"): "1"})
    assert one
    assert one == marked(template, {("kasm", "s"): "1", ("kasm", "unused"): "2", ("other", "s"): "2"})
    assert one != marked(template, {("kasm", "s"): "2"})
    assert marked(template, {("other", "s"): "1"}) is None
    assert marked(template, {}) is None


def test_pull_credentials_and_other_kinds_are_not_marked() -> None:
    revisions = {("kasm", "s"): "1"}
    assert marked(pod(imagePullSecrets=[{"name": "s"}]), revisions) is None
    config: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "kasm"}}
    assert rollout.mark_secrets(config, revisions) is config


def test_marking_keeps_other_annotations_and_changes_nothing_given() -> None:
    template = {**kinds_of_use()["env"]("s"), "metadata": {"annotations": {"own": "1"}, "labels": {"a": "b"}}}
    obj = deployment(template)
    before = json.dumps(obj)
    made = rollout.mark_secrets(obj, {("kasm", "s"): "1"})
    metadata = made["spec"]["template"]["metadata"]
    assert metadata["annotations"]["own"] == "1"
    assert metadata["labels"] == {"a": "b"}
    assert json.dumps(obj) == before
    assert rollout.mark_secrets(made, {("kasm", "s"): "1"}) == made


@pytest.mark.parametrize(
    "odd", [{"containers": 5, "volumes": "x"}, {"containers": [None, "x"]}, None, {"volumes": [5]}]
)
def test_pod_specs_that_make_no_sense_are_left_alone(odd: Any) -> None:
    obj = deployment({"spec": odd})
    assert rollout.mark_secrets(obj, {("kasm", "s"): "1"}) == obj
