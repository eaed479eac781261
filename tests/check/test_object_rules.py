"""3xx: references and schemas, on objects without a repository."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.check.rule import run
from kasmgen.check.rules import references, validity
from kasmgen.check.rules.references import References
from kasmgen.check.rules.validity import Objects, SchemaLibrary
from kasmgen.kubernetes import schema_files
from kasmgen.kubernetes.resources import by_id
from kasmgen.kubernetes.schema import Compiler


def obj(kind: str, name: str, version: str = "v1", namespace: str = "kasm", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def deployment(pod: dict[str, Any], labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    labels = labels or {"app": "a"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}], **pod}}
    return obj(
        "Deployment", "d", "apps/v1", spec={"selector": {"matchLabels": {"app": "a"}}, "template": template} | spec
    )


def container(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "c", "image": "i", **fields}]}


def rules(*objects: dict[str, Any], external: frozenset[str] = frozenset()) -> list[str]:
    context = References("prod", by_id(objects), external)
    return sorted(finding.rule for finding in run(references.RULES, context))


SECRET = obj("Secret", "s", data={"k": "ENC[...]"}, sops={"mac": "x"})
CONFIG = obj("ConfigMap", "m", data={"k": "v"})
SERVICE = obj("Service", "svc", spec={"selector": {"app": "a"}, "ports": [{"name": "http", "port": 80}]})
ENV = {"name": "X"}


def secret_key(name: str = "s", key: str = "k", **more: Any) -> dict[str, Any]:
    return container(env=[{**ENV, "valueFrom": {"secretKeyRef": {"name": name, "key": key, **more}}}])


def config_key(name: str = "m", key: str = "k", **more: Any) -> dict[str, Any]:
    return container(env=[{**ENV, "valueFrom": {"configMapKeyRef": {"name": name, "key": key, **more}}}])


def volume(source: dict[str, Any]) -> dict[str, Any]:
    return {**container(), "volumes": [{"name": "v", **source}]}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (secret_key(), []),
        (secret_key(key="other"), ["KG311"]),
        (secret_key(name="other"), ["KG311"]),
        (secret_key(name="other", optional=True), []),
        (container(envFrom=[{"secretRef": {"name": "s"}}]), []),
        (container(envFrom=[{"secretRef": {"name": "t"}}]), ["KG311"]),
        (volume({"secret": {"secretName": "s", "items": [{"key": "k", "path": "p"}]}}), []),
        (volume({"secret": {"secretName": "s", "items": [{"key": "q", "path": "p"}]}}), ["KG311"]),
        (volume({"secret": {"secretName": "t", "optional": True}}), []),
        (volume({"projected": {"sources": [{"secret": {"name": "t"}}]}}), ["KG311"]),
        ({**container(), "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "t"}}]}]}, ["KG311"]),
        (config_key(), []),
        (config_key(key="other"), ["KG312"]),
        (config_key(name="other"), ["KG312"]),
        (volume({"configMap": {"name": "m"}}), []),
        (volume({"configMap": {"name": "n"}}), ["KG312"]),
        (volume({"configMap": {"name": "kube-root-ca.crt"}}), []),
        ({**container(), "imagePullSecrets": [{"name": "s"}]}, []),
        ({**container(), "imagePullSecrets": [{"name": "t"}]}, ["KG320"]),
        ({**container(), "serviceAccountName": "default"}, []),
        ({**container(), "serviceAccountName": "nobody"}, ["KG318"]),
        (volume({"persistentVolumeClaim": {"claimName": "c"}}), ["KG319"]),
        (container(readinessProbe={"httpGet": {"port": "http"}}), ["KG315"]),
        (container(readinessProbe={"httpGet": {"port": "http"}}, ports=[{"name": "http", "containerPort": 1}]), []),
        (container(livenessProbe={"tcpSocket": {"port": 80}}), []),
    ],
)
def test_what_pods_refer_to(pod: dict[str, Any], expected: list[str]) -> None:
    assert rules(SECRET, CONFIG, deployment(pod)) == expected


def test_secrets_that_others_bring_are_left_alone() -> None:
    assert rules(deployment(secret_key("login")), external=frozenset(["login"])) == []
    made = obj("Certificate", "c", "cert-manager.io/v1", spec={"secretName": "tls"})
    assert rules(made, deployment(secret_key("tls", "anything"))) == []


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ({"name": "svc", "port": {"name": "http"}}, []),
        ({"name": "svc", "port": {"number": 80}}, []),
        ({"name": "svc", "port": {"number": 81}}, ["KG313"]),
        ({"name": "other", "port": {"number": 80}}, ["KG313"]),
    ],
)
def test_where_an_ingress_leads(backend: dict[str, Any], expected: list[str]) -> None:
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": backend}}]
    ingress = obj("Ingress", "i", "networking.k8s.io/v1", spec={"rules": [{"http": {"paths": paths}}]})
    assert rules(SERVICE, deployment({}), ingress) == expected


def test_tls_of_an_ingress_needs_its_secret() -> None:
    ingress = obj("Ingress", "i", "networking.k8s.io/v1", spec={"tls": [{"secretName": "t"}]})
    assert rules(ingress) == ["KG311"]
    assert rules(ingress, external=frozenset("t")) == []


def test_a_named_target_port_must_be_a_port_of_the_pods() -> None:
    service = obj("Service", "svc", spec={"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": "web"}]})
    assert rules(service, deployment({})) == ["KG314"]
    assert rules(service, deployment(container(ports=[{"name": "web", "containerPort": 1}]))) == []


@pytest.mark.parametrize(
    "selecting",
    [
        obj("Service", "x", spec={"selector": {"app": "b"}}),
        obj("NetworkPolicy", "x", "networking.k8s.io/v1", spec={"podSelector": {"matchLabels": {"app": "b"}}}),
        obj("PodDisruptionBudget", "x", "policy/v1", spec={"selector": {"matchLabels": {"app": "b"}}}),
    ],
)
def test_a_selector_that_matches_no_pod(selecting: dict[str, Any]) -> None:
    assert rules(selecting, deployment({})) == ["KG316"]
    assert rules(selecting, deployment({}, {"app": "a", "x": "y"})) == ["KG316"]
    fitting = json.loads(json.dumps(selecting).replace('"b"', '"a"'))
    assert rules(fitting, deployment({})) == []


def test_a_workload_must_select_its_own_pods() -> None:
    assert rules(deployment({}, {"app": "other"})) == ["KG317"]
    assert rules(deployment({})) == []


def test_an_autoscaler_must_scale_something() -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    scaler = obj("HorizontalPodAutoscaler", "h", "autoscaling/v2", spec={"scaleTargetRef": target})
    assert rules(scaler) == ["KG321"]
    assert rules(scaler, deployment({})) == []


def test_namespaced_objects_name_their_namespace() -> None:
    assert rules(obj("ConfigMap", "m", namespace="")) == ["KG322"]
    assert rules(obj("Namespace", "n", namespace="")) == []


# --- schemas -----------------------------------------------------------------


@pytest.fixture(scope="module")
def library() -> SchemaLibrary:
    known = schema_files.load()
    return SchemaLibrary(known.version, known.find, known.definitions)


def schema_rules(library: SchemaLibrary | None, *objects: dict[str, Any]) -> list[tuple[str, str]]:
    context = Objects("prod", by_id(objects), library)
    return sorted((finding.rule, finding.message) for finding in run(validity.RULES, context))


def test_valid_objects_and_sealed_secrets_pass(library: SchemaLibrary) -> None:
    assert schema_rules(library, deployment({}), SECRET, CONFIG, SERVICE) == []


def test_invalid_objects_are_found_by_field(library: SchemaLibrary) -> None:
    wrong = deployment({}, replicas="three", nonsense=1)
    found = schema_rules(library, wrong)
    assert ("KG301", "spec.replicas must be a whole number") in found
    assert ("KG301", "spec knows no nonsense") in found
    assert schema_rules(None, wrong) == []


def test_a_kind_that_is_gone_is_found_and_custom_ones_are_not(library: SchemaLibrary) -> None:
    gone = obj("Ingress", "i", "extensions/v1beta1")
    assert [rule for rule, _ in schema_rules(library, gone)] == ["KG302"]
    assert schema_rules(library, obj("Gateway", "g", "gateway.networking.k8s.io/v1")) == []


CRD = obj(
    "CustomResourceDefinition",
    "cars.example.org",
    "apiextensions.k8s.io/v1",
    namespace="",
    spec={
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"kind": "Car", "plural": "cars"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["wheels"],
                                "properties": {
                                    "wheels": {"type": "integer", "minimum": 3, "nullable": True},
                                    "colour": {"type": "string", "enum": ["red", "blue"], "pattern": "^[a-z]+$"},
                                    "port": {"x-kubernetes-int-or-string": True},
                                    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                    "map": {"type": "object", "additionalProperties": {"type": "boolean"}},
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"wheels": 4, "colour": "red", "port": "http", "any": {"x": 1}, "map": {"a": True}}, []),
        ({"wheels": None}, []),
        ({}, ["spec lacks wheels"]),
        ({"wheels": 2}, ["spec.wheels must be at least 3"]),
        ({"wheels": 4, "colour": "green"}, ["spec.colour must be one of red, blue"]),
        ({"wheels": 4, "port": 1.5}, ["spec.port must be a whole number or text"]),
        ({"wheels": 4, "map": {"a": 1}}, ["spec.map.a must be true or false"]),
        ({"wheels": 4, "doors": 2}, ["spec knows no doors"]),
    ],
)
def test_custom_objects_against_their_definition(spec: dict[str, Any], said: list[str]) -> None:
    car = obj("Car", "c", "example.org/v1", spec=spec)
    found = schema_rules(None, CRD, car)
    assert found == [("KG303", message) for message in said]


def test_a_version_that_the_definition_does_not_serve() -> None:
    assert [rule for rule, _ in schema_rules(None, CRD, obj("Car", "c", "example.org/v2", spec={}))] == ["KG304"]


# --- the checker against jsonschema --------------------------------------------

LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "a", "bb", "x1"]), st.just(1.5))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=6,
)
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean"])


def _schemas(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    keywords = {
        "type": st.one_of(TYPES, st.lists(st.one_of(TYPES, st.just("null")), min_size=1, max_size=3, unique=True)),
        "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
        "additionalProperties": st.one_of(st.booleans(), inner),
        "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
        "items": inner,
        "minimum": st.integers(-2, 2),
        "maxLength": st.integers(0, 2),
        "minItems": st.integers(0, 2),
        "maxProperties": st.integers(0, 2),
        "uniqueItems": st.just(True),
        "pattern": st.sampled_from(["^a", "b$", "[0-9]"]),
        "anyOf": st.lists(inner, min_size=1, max_size=2),
        "allOf": st.lists(inner, min_size=1, max_size=2),
        "not": inner,
    }
    return st.fixed_dictionaries({}, optional=keywords)


SCHEMAS = st.recursive(st.just({}), _schemas, max_leaves=4)


@given(schema=SCHEMAS, value=VALUES)
@settings(max_examples=300, deadline=None)
def test_the_checker_agrees_with_jsonschema(schema: dict[str, Any], value: Any) -> None:
    # JSON has no difference between 1 and true in an enum of Python; none of the keywords here compare them.
    expected = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (next(iter(Compiler().compile(schema)(value, "")), None) is None) == expected
