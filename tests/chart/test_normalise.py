"""The normalisations of the contract, one by one and as a whole."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kasmgen.chart import normalise as n
from kasmgen.chart.normalise import for_flux, for_kubernetes, helm_traces
from kasmgen.chart.normalise.normalisation import NormalisationContext
from kasmgen.errors import InputError
from kasmgen.kubernetes.resources import Object, Render, ResourceId
from kasmgen.yaml import documents

FLUX = "kustomize.toolkit.fluxcd.io"
HELM = {"helm.sh/chart": "x-1.0", "app.kubernetes.io/managed-by": "Helm"}


def thing(kind: str = "ConfigMap", version: str = "v1", *, spec: Any = None, **metadata: Any) -> Object:
    obj: Object = {"apiVersion": version, "kind": kind, "metadata": {"name": "x", **metadata}}
    return obj if spec is None else {**obj, "spec": spec}


def workload(kind: str = "Deployment", version: str = "apps/v1", **pod: Any) -> Object:
    template = {"metadata": {"labels": {"app": "x", **HELM}}, "spec": {"containers": [{"name": "c"}], **pod}}
    return thing(kind, version, spec={"template": template})


def apply(step: Any, obj: Object, **context: Any) -> tuple[Any, list[str]]:
    """What a normalisation makes of `obj`, and its notes; that it leaves `obj` alone is checked."""
    before = copy.deepcopy(obj)
    where = NormalisationContext("kasm", **context)
    made = step(obj, where)
    assert obj == before
    return made, [str(note) for note in where.notes]


def rendered(*texts: str, namespace: str = "kasm") -> Render:
    return n.normalise({f"chart/templates/{i}.yaml": text for i, text in enumerate(texts)}, namespace)


def only(render: Render) -> Object:
    (item,) = {**render.objects, **render.secrets}.values()
    return item.object


def test_whatever_is_done_is_noted_with_the_object_it_was_done_to() -> None:
    item = "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, labels: {helm.sh/chart: c-1}}}"
    secret = "{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: kasm}, data: {}}"
    items = f"[{item % 'a'}, {item % 'b'}, {secret}]"
    notes = {str(note) for note in rendered(f"apiVersion: v1\nkind: List\nitems: {items}\n").notes}
    assert notes == {
        "list unpacked: chart/templates/0.yaml: 3 objects",
        "Helm's labels removed: ConfigMap a: helm.sh/chart",
        "Helm's labels removed: ConfigMap b: helm.sh/chart",
        "namespace filled in: ConfigMap a: kasm",
        "namespace filled in: ConfigMap b: kasm",
        "Secret kept out of the base: Secret s",
    }


# --- hooks -----------------------------------------------------------------------------


@pytest.mark.parametrize("events", ["test", "test-success,test-failure", "pre-delete", "post-delete, pre-rollback"])
def test_a_hook_only_for_tests_deletion_or_rollback_goes_with_its_object(events: str) -> None:
    made, notes = apply(helm_traces.hooks, thing(annotations={"helm.sh/hook": events}))
    assert made is None
    assert notes[0].startswith("hook dropped: ConfigMap x: ")


@pytest.mark.parametrize("events", ["pre-install", "pre-install,post-delete", "post-upgrade, test", "crd-install", ""])
def test_any_other_hook_stays_without_its_annotations(events: str) -> None:
    annotations = {"helm.sh/hook": events, "helm.sh/hook-weight": "-5", "helm.sh/hook-delete-policy": "hook-succeeded"}
    made, notes = apply(helm_traces.hooks, thing(annotations={**annotations, "own": "yes"}))
    assert made == thing(annotations={"own": "yes"})
    assert len(notes) == 1


def test_annotations_that_only_were_of_hooks_leave_no_empty_mapping() -> None:
    assert apply(helm_traces.hooks, thing(annotations={"helm.sh/hook-weight": "1"}))[0] == thing()


def test_annotations_that_only_look_like_hooks_stay() -> None:
    obj = thing(annotations={"helm.sh/hooked": "a", "helm.sh/resource-policy": "keep"})
    assert apply(helm_traces.hooks, obj) == (obj, [])


# --- annotations with nothing in them --------------------------------------------------


@pytest.mark.parametrize("nothing", [None, {}])
def test_empty_annotations_of_the_object_go_and_those_of_templates_stay(nothing: Any) -> None:
    obj = workload()
    obj["metadata"]["annotations"] = nothing
    obj["spec"]["template"]["metadata"]["annotations"] = nothing
    made, notes = apply(helm_traces.empty_annotations, obj)
    assert "annotations" not in made["metadata"]
    assert made["spec"] == obj["spec"]
    assert notes == ["empty annotations removed: Deployment x"]


# --- Helm's labels -----------------------------------------------------------------------


def test_helm_labels_go_from_the_object_its_templates_and_claims() -> None:
    claim = {"metadata": {"name": "data", "labels": {**HELM, "own": "1"}}, "spec": {}}
    obj = workload("StatefulSet")
    obj["metadata"]["labels"] = dict(HELM)
    obj["spec"]["volumeClaimTemplates"] = [claim, {"metadata": {"name": "bare"}}]
    made, _ = apply(helm_traces.helm_labels, obj)
    assert "labels" not in made["metadata"]
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "x"}
    assert made["spec"]["volumeClaimTemplates"][0]["metadata"] == {"name": "data", "labels": {"own": "1"}}


def test_helm_labels_go_from_both_templates_of_a_cronjob() -> None:
    pod = {"metadata": {"labels": dict(HELM)}, "spec": {}}
    job = {"metadata": {"labels": {**HELM, "own": "1"}}, "spec": {"template": pod}}
    made, _ = apply(helm_traces.helm_labels, thing("CronJob", "batch/v1", spec={"jobTemplate": job}))
    assert made["spec"]["jobTemplate"] == {
        "metadata": {"labels": {"own": "1"}},
        "spec": {"template": {"metadata": {}, "spec": {}}},
    }


def test_who_else_manages_an_object_stays_said() -> None:
    obj = thing(labels={"app.kubernetes.io/managed-by": "operator", "app.kubernetes.io/version": "1.0"})
    assert apply(helm_traces.helm_labels, obj) == (obj, [])


def test_templates_of_custom_resources_are_left_alone() -> None:
    obj = thing("Workflow", "example.com/v1", spec={"template": {"metadata": {"labels": dict(HELM)}}})
    assert apply(helm_traces.helm_labels, obj) == (obj, [])


SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: s, labels: {app.kubernetes.io/managed-by: Helm}}\nspec: "
PODS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: d, labels: {app.kubernetes.io/managed-by: Helm}}
spec:
  template:
    metadata: {labels: {app.kubernetes.io/managed-by: Helm, helm.sh/chart: x-1}}
"""


@pytest.mark.parametrize(
    "selector",
    [
        SERVICE + "{selector: {app.kubernetes.io/managed-by: Helm}}",
        PODS.replace("d,", "e,") + "  selector: {matchLabels: {app.kubernetes.io/managed-by: Helm}}",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {}, ingress: "
        "[{from: [{podSelector: {matchExpressions: [{key: app.kubernetes.io/managed-by, operator: Exists}]}}]}]}",
    ],
    ids=["Service", "workload", "NetworkPolicy"],
)
def test_a_label_that_a_selector_asks_pods_for_stays_on_pods_only(selector: str) -> None:
    render = rendered(PODS, selector)
    deployment = render.objects[ResourceId("Deployment", "kasm", "d", "apps")].object
    assert deployment["spec"]["template"]["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "Helm"}
    assert "labels" not in deployment["metadata"]


def test_a_label_that_a_custom_resource_asks_for_stays_on_every_object() -> None:
    monitor = (
        "apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: m}\n"
        "spec: {selector: {matchLabels: {app.kubernetes.io/managed-by: Helm}}}"
    )
    service = rendered(SERVICE + "{}", monitor).objects[ResourceId("Service", "kasm", "s")].object
    assert service["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "Helm"}


# --- namespaces --------------------------------------------------------------------------


def test_a_missing_or_empty_namespace_becomes_the_releases() -> None:
    for obj in (thing(), thing(namespace=""), thing(namespace=None)):
        made, notes = apply(for_kubernetes.namespaces, obj)
        assert made["metadata"]["namespace"] == "kasm"
        assert notes == ["namespace filled in: ConfigMap x: kasm"]


def test_another_namespace_is_kept_and_reported() -> None:
    obj = thing(namespace="kube-system")
    made, notes = apply(for_kubernetes.namespaces, obj)
    assert made == obj
    assert notes == ["namespace is not the release's: ConfigMap x: kube-system, kept as the chart has it"]


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("Namespace", "v1"),
        ("PersistentVolume", "v1"),
        ("ClusterRoleBinding", "rbac.authorization.k8s.io/v1"),
        ("StorageClass", "storage.k8s.io/v1"),
        ("PriorityClass", "scheduling.k8s.io/v1"),
        ("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1"),
        ("CustomResourceDefinition", "apiextensions.k8s.io/v1"),
        ("IngressClass", "networking.k8s.io/v1"),
        ("GatewayClass", "gateway.networking.k8s.io/v1"),
    ],
)
def test_cluster_scoped_kinds_get_no_namespace_and_lose_one_that_the_chart_gives(kind: str, version: str) -> None:
    assert apply(for_kubernetes.namespaces, thing(kind, version)) == (thing(kind, version), [])
    made, notes = apply(for_kubernetes.namespaces, thing(kind, version, namespace="other"))
    assert made == thing(kind, version)
    assert len(notes) == 1


def test_a_kind_without_definition_that_is_named_cluster_has_the_namespace_that_the_chart_gives_it() -> None:
    for kind, version in (("ClusterIssuer", "cert-manager.io/v1"), ("ClusterPolicy", "kyverno.io/v1")):
        assert apply(for_kubernetes.namespaces, thing(kind, version)) == (thing(kind, version), [])
        given = thing(kind, version, namespace="kasm")
        assert apply(for_kubernetes.namespaces, given) == (given, [])


def test_kinds_that_share_a_name_with_a_cluster_scoped_one_keep_their_namespace() -> None:
    for kind, version in (
        ("IPAddress", "ipam.metal3.io/v1alpha1"),
        ("Node", "example.com/v1"),
        ("ClusterClass", "cluster.x-k8s.io/v1beta1"),
        ("Cluster", "postgresql.cnpg.io/v1"),
    ):
        assert apply(for_kubernetes.namespaces, thing(kind, version))[0]["metadata"]["namespace"] == "kasm"


@pytest.mark.parametrize(("scope", "namespace"), [("Cluster", None), ("Namespaced", "kasm")])
def test_a_definition_in_the_render_decides_the_scope(scope: str, namespace: str | None) -> None:
    definition = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example.com}\n"
        f"spec: {{group: example.com, scope: {scope}, names: {{kind: ClusterThing}}}}"
    )
    render = rendered("apiVersion: example.com/v1\nkind: ClusterThing\nmetadata: {name: x}", definition)
    (found,) = (item for key, item in render.objects.items() if key.kind == "ClusterThing")
    assert found.object["metadata"].get("namespace") == namespace


# --- duplicates in lists -------------------------------------------------------------------


def test_of_equal_env_and_port_entries_the_last_one_stays_in_every_kind_of_container() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "A", "value": "3"}]
    ports = [
        {"containerPort": 80, "name": "old"},
        {"containerPort": 80, "protocol": "UDP"},
        {"containerPort": 80, "protocol": "TCP", "name": "new"},
    ]
    container = {"name": "c", "env": env, "ports": ports}
    made, notes = apply(for_kubernetes.list_duplicates, workload(containers=[container], initContainers=[container]))
    for name in ("containers", "initContainers"):
        (found,) = made["spec"]["template"]["spec"][name]
        assert found["env"] == env[1:]
        assert found["ports"] == ports[1:]
    assert "duplicate list entries, the last one kept: Deployment x: c.env: A" in notes


def test_equal_service_ports_are_made_one() -> None:
    ports = [{"port": 80, "name": "a"}, {"port": 80, "name": "b", "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]
    made, notes = apply(for_kubernetes.list_duplicates, thing("Service", spec={"ports": ports}))
    assert made["spec"]["ports"] == ports[1:]
    assert notes == ["duplicate list entries, the last one kept: Service x: ports: 80/TCP"]


def test_lists_without_duplicates_entries_without_keys_and_other_kinds_stay() -> None:
    odd = workload(containers=[{"name": "c", "env": [{"value": "1"}, {"value": "1"}, "text"], "ports": None}, "text"])
    same = [{"name": "A"}, {"name": "A"}]
    for obj in (odd, thing("Thing", "example.com/v1", spec={"env": same, "ports": same}), thing("Service", spec={})):
        assert apply(for_kubernetes.list_duplicates, obj) == (obj, [])


def test_a_cronjob_and_a_bare_pod_are_looked_into() -> None:
    pod = {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}]}
    cron = thing(
        "CronJob", "batch/v1", spec={"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    )
    made, _ = apply(for_kubernetes.list_duplicates, cron)
    assert made["spec"]["schedule"] == "@daily"
    inner = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    bare, _ = apply(for_kubernetes.list_duplicates, thing("Pod", spec=pod))
    for found in (inner, bare["spec"]):
        assert found["containers"][0]["env"] == [{"name": "A", "value": "2"}]


# --- Jobs, data, substitution ----------------------------------------------------------------


def test_a_job_is_made_replaceable_and_loses_its_time_to_live() -> None:
    made, notes = apply(for_flux.jobs, thing("Job", "batch/v1", spec={"ttlSecondsAfterFinished": 60, "template": {}}))
    assert made == thing("Job", "batch/v1", spec={"template": {}}, annotations={f"{FLUX}/force": "enabled"})
    assert len(notes) == 2


def test_cronjobs_and_jobs_of_other_groups_stay_as_they_are() -> None:
    for obj in (
        thing("CronJob", "batch/v1", spec={"jobTemplate": {"spec": {"ttlSecondsAfterFinished": 60}}}),
        thing("Job", "batch.volcano.sh/v1alpha1", spec={"ttlSecondsAfterFinished": 60}),
    ):
        assert apply(for_flux.jobs, obj) == (obj, [])


@pytest.mark.parametrize(
    "obj",
    [
        thing("PersistentVolumeClaim", spec={}),
        thing("Namespace"),
        thing("CustomResourceDefinition", "apiextensions.k8s.io/v1"),
    ],
    ids=lambda obj: str(obj["kind"]),
)
def test_what_holds_data_or_other_objects_is_never_pruned(obj: Object) -> None:
    made, _ = apply(for_flux.keep_data, obj)
    assert made["metadata"]["annotations"] == {f"{FLUX}/prune": "disabled"}
    assert made.get("spec") == obj.get("spec")


def test_claims_outlive_their_statefulset_and_other_policies_stay() -> None:
    spec = {
        "volumeClaimTemplates": [{}],
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"},
    }
    made, _ = apply(for_flux.keep_data, thing("StatefulSet", "apps/v1", spec=spec))
    assert made["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Delete"}
    assert made["metadata"]["annotations"] == {f"{FLUX}/prune": "disabled"}


@pytest.mark.parametrize("claims", [None, []])
def test_a_statefulset_without_claims_stays_as_it_is(claims: Any) -> None:
    obj = thing("StatefulSet", "apps/v1", spec={"volumeClaimTemplates": claims})
    assert apply(for_flux.keep_data, obj) == (obj, [])


@pytest.mark.parametrize("data", [{"a": "x ${HOME}"}, {"a": "kill $$"}, {"${x}": "y"}, {"l": [{"k": ["$${a}"]}]}])
def test_text_that_flux_would_substitute_is_kept_from_it(data: Any) -> None:
    made, _ = apply(for_flux.substitution, {**thing(annotations={"own": "1"}), "data": data})
    assert made["metadata"]["annotations"] == {"own": "1", f"{FLUX}/substitute": "disabled"}


def test_text_that_flux_leaves_alone_gets_no_annotation() -> None:
    obj = {**thing(), "data": {"a": "$HOME $(VAR) $1 }{ {$}"}}
    assert apply(for_flux.substitution, obj) == (obj, [])


def test_substitution_sees_what_the_dropped_annotations_no_longer_say() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {helm.sh/hook-weight: '${w}'}}"
    assert "annotations" not in only(rendered(text))["metadata"]


# --- the whole ---------------------------------------------------------------------------------


def test_secrets_stand_apart_and_kinds_of_that_name_in_other_groups_do_not() -> None:
    render = rendered(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {k: hunter2}\n---\n"
        "apiVersion: example.com/v1\nkind: Secret\nmetadata: {name: a}\n"
    )
    assert [key.group for key in render.secrets] == [""]
    assert [key.group for key in render.objects] == ["example.com"]
    assert "hunter2" not in repr(render)


def test_lists_are_unwrapped_as_helm_unwraps_them() -> None:
    item = "{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}"
    inner = "{apiVersion: v1, kind: List, items: [" + item % "c" + "]}"
    for head in ("apiVersion: v1\nkind: List", "apiVersion: v1\nkind: ConfigMapList", "apiVersion: v1\nkind: Whatever"):
        render = rendered(f"{head}\nitems: [{item % 'a'}, {item % 'b'}, {inner}]")
        assert sorted(key.name for key in render.objects) == ["a", "b", "c"]
    assert rendered("apiVersion: v1\nkind: List\nitems: []", "apiVersion: v1\nkind: List\nitems:").objects == {}


def test_documents_that_say_nothing_are_left_out() -> None:
    assert rendered("", "# nothing\n", "---\n---\n", "null\n").objects == {}


def test_duplicate_keys_are_reported_and_the_last_one_counts() -> None:
    render = rendered("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: '1', a: '2'}")
    assert only(render)["data"] == {"a": "2"}
    assert "duplicate key, the last one kept: ConfigMap x: data.a" in map(str, render.notes)


def test_scalars_are_what_kubernetes_reads() -> None:
    head = "apiVersion: v1\nkind: T\nmetadata: {name: x}\n"
    text = head + "spec: {a: 0755, b: 0o644, c: yes, d: 2024-01-01, e: 'off', on: 1}"
    assert only(rendered(text))["spec"] == {"a": 493, "b": 420, "c": True, "d": "2024-01-01", "e": "off", "true": 1}


def test_two_objects_with_one_identity_are_refused_with_the_template_that_repeats_it() -> None:
    text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x%s}\n"
    with pytest.raises(InputError, match=r"renders Deployment x in kasm twice \(again in chart/templates/1.yaml\)"):
        rendered(text % "", text.replace("apps/v1", "apps/v1beta1") % ", namespace: kasm")
    assert len(rendered(text % "", text % ", namespace: other").objects) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("just text", "chart/templates/0.yaml: a document is no Kubernetes object but text"),
        ("[1]", "chart/templates/0.yaml: a document is no Kubernetes object but list"),
        ("{kind: List, items: [1]}", "chart/templates/0.yaml: a document is no Kubernetes object but number"),
        ("a: 1", "chart/templates/0.yaml: a rendered document is no Kubernetes object: it has no metadata"),
        ("{kind: A, metadata: {name: x}}", "A x has no apiVersion"),
        ("{apiVersion: v1, kind: A, metadata: {name: 5}}", "A 5 has no metadata.name"),
        ("{apiVersion: v1, kind: A, metadata: {generateName: x-}}", "A has no metadata.name"),
        ("{apiVersion: v1, kind: A, metadata: {name: x}, spec: {a: .inf}}", "cannot be said in JSON"),
    ],
)  # fmt: skip
def test_what_is_no_kubernetes_object_is_an_input_error(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        rendered(text)
    assert said in str(caught.value)


def test_each_note_stands_once_and_in_order() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 1, a: 2, a: 3}"
    notes = rendered(text).notes
    assert len(notes) == len(set(notes)) == 2


# --- properties ----------------------------------------------------------------------------------

LABELS = st.dictionaries(st.sampled_from([*HELM, "app", "own"]), st.sampled_from(["Helm", "x", "${y}"]), max_size=3)
ANNOTATIONS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["helm.sh/hook", "helm.sh/hook-weight", "own", f"{FLUX}/prune"]),
        st.sampled_from(["pre-install", "test", "post-delete,pre-upgrade", "1", "$$"]),
        max_size=3,
    ),
)
ENTRIES = st.lists(
    st.fixed_dictionaries({}, optional={
        "name": st.sampled_from("AB"), "value": st.text(max_size=2), "containerPort": st.sampled_from([80, 81]),
        "port": st.sampled_from([80, 81]), "protocol": st.sampled_from(["TCP", "UDP", None]),
    }), max_size=4,
)  # fmt: skip
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("cd")}, optional={"env": ENTRIES, "ports": ENTRIES}), max_size=2
)
METADATA = st.fixed_dictionaries(
    {"name": st.sampled_from(["x", "y"])},
    optional={"labels": LABELS, "annotations": ANNOTATIONS, "namespace": st.sampled_from(["kasm", "other", "", None])},
)
TEMPLATES = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({}, optional={"labels": LABELS, "annotations": ANNOTATIONS})},
    optional={"spec": st.fixed_dictionaries({}, optional={"containers": CONTAINERS, "initContainers": CONTAINERS})},
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "template": TEMPLATES,
        "jobTemplate": st.fixed_dictionaries(
            {"metadata": st.fixed_dictionaries({"labels": LABELS})},
            optional={"spec": st.fixed_dictionaries({"template": TEMPLATES})},
        ),
        "ports": ENTRIES,
        "selector": st.one_of(LABELS, st.fixed_dictionaries({"matchLabels": LABELS})),
        "ttlSecondsAfterFinished": st.integers(0, 9),
        "volumeClaimTemplates": st.lists(TEMPLATES, max_size=2),
        "persistentVolumeClaimRetentionPolicy": st.sampled_from([{"whenDeleted": "Delete"}, {"whenScaled": "Retain"}]),
    },
)  # fmt: skip
OBJECTS = st.builds(
    lambda kind, metadata, spec: {"apiVersion": kind[1], "kind": kind[0], "metadata": metadata, "spec": spec},
    st.sampled_from(
        [
            ("Deployment", "apps/v1"), ("StatefulSet", "apps/v1"), ("Job", "batch/v1"), ("CronJob", "batch/v1"),
            ("Pod", "v1"), ("Service", "v1"), ("Namespace", "v1"), ("PersistentVolumeClaim", "v1"), ("Secret", "v1"),
            ("ClusterIssuer", "cert-manager.io/v1"), ("ServiceMonitor", "monitoring.coreos.com/v1"),
        ]
    ),
    METADATA,
    SPECS,
)  # fmt: skip


@given(OBJECTS)
@settings(deadline=None, max_examples=100)
def test_no_normalisation_changes_what_it_is_given(obj: Object) -> None:
    selected = helm_traces.selected_labels([obj])
    for step in n.NORMALISATIONS:
        before = copy.deepcopy(obj)
        made = step(obj, NormalisationContext("kasm", {}, *selected))
        assert obj == before
        if made is None:
            return
        obj = made


@given(st.lists(OBJECTS, max_size=4, unique_by=lambda obj: (obj["kind"], obj["metadata"]["name"])))
@settings(deadline=None, max_examples=60)
def test_normalising_twice_is_normalising_once(objects: list[Object]) -> None:
    once = n.normalise({f"c/templates/{i}.yaml": documents.dump(obj) for i, obj in enumerate(objects)}, "kasm")
    first = {key: item.object for key, item in {**once.objects, **once.secrets}.items()}
    texts = {item.template: documents.dump(item.object) for item in {**once.objects, **once.secrets}.values()}
    twice = n.normalise(texts, "kasm")
    assert {key: item.object for key, item in {**twice.objects, **twice.secrets}.items()} == first
