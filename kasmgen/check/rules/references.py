"""3xx: what objects refer to is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property

from kasmgen.check.rule import ERROR, WARNING, Hit, Rule
from kasmgen.kubernetes import kinds
from kasmgen.kubernetes.fields import get, items
from kasmgen.kubernetes.resources import Object, ResourceId
from kasmgen.yaml.documents import Yaml

# Secrets that a controller in the cluster makes: (kind, where their name stands).
_MAKERS = {
    "Certificate": "spec.secretName",
    "ExternalSecret": "spec.target.name",
    "SealedSecret": "metadata.name",
    "VaultStaticSecret": "spec.destination.name",
    "OnePasswordItem": "metadata.name",
}


@dataclass(frozen=True)
class References:
    """What an environment builds to.

    external: names of Secrets that somebody else puts into the cluster: registry logins
    and certificates with `source: existing`.
    """

    environment: str
    objects: Mapping[ResourceId, Object] = field(repr=False)
    external: frozenset[str] = frozenset()

    def hit(self, key: ResourceId, message: str) -> Hit:
        """A hit in the object `key`."""
        return Hit(message, "", str(key), self.environment)

    @cached_property
    def secrets(self) -> dict[tuple[str, str], frozenset[str] | None]:
        """(namespace, name) -> data keys; None where a controller decides on them."""
        found: dict[tuple[str, str], frozenset[str] | None] = {}
        for key, obj in self.objects.items():
            if (key.kind, key.group) == ("Secret", ""):
                found[key.namespace, key.name] = _keys(obj, "data", "stringData")
            elif key.kind in _MAKERS:
                name = get(obj, _MAKERS[key.kind]) or key.name
                found[key.namespace, str(name)] = None
        return found

    @cached_property
    def config_maps(self) -> dict[tuple[str, str], frozenset[str] | None]:
        """(namespace, name) -> keys."""
        return {
            (key.namespace, key.name): _keys(obj, "data", "binaryData")
            for key, obj in self.objects.items()
            if (key.kind, key.group) == ("ConfigMap", "")
        }

    @cached_property
    def templates(self) -> list[tuple[ResourceId, dict[str, Yaml]]]:
        """Every workload with its pod template."""
        pairs = ((key, kinds.pod_template(obj)) for key, obj in self.objects.items())
        return [(key, template) for key, template in pairs if template]

    def has(self, kind: str, namespace: str, name: str) -> bool:
        """Whether the build has an object of this kind."""
        return any((key.kind, key.namespace, key.name) == (kind, namespace, name) for key in self.objects)


def _keys(obj: Object, *sections: str) -> frozenset[str]:
    return frozenset(key for section in sections for key in (obj.get(section) or {}))


# --- Secrets and ConfigMaps --------------------------------------------------


@dataclass(frozen=True)
class _Use:
    """Where a pod uses a Secret or ConfigMap. keys: those that must be in it. optional: pods start without it."""

    what: str
    name: str
    keys: tuple[str, ...] = ()
    optional: bool = False


def _uses(spec: Yaml, kind: str) -> Iterator[_Use]:
    """How a pod uses objects of `kind`, "Secret" or "ConfigMap"."""
    key_ref, all_ref = ("secretKeyRef", "secretRef") if kind == "Secret" else ("configMapKeyRef", "configMapRef")
    for container in kinds.containers(spec):
        where = f"container {container.get('name')}"
        for variable in items(container, "env"):
            reference = get(variable, f"valueFrom.{key_ref}")
            if isinstance(reference, dict):
                keys = (str(reference.get("key")),)
                yield _Use(f"env {variable.get('name')} of {where}", *_named(reference), keys, _optional(reference))
        for source in items(container, "envFrom"):
            if isinstance(reference := source.get(all_ref), dict):
                yield _Use(f"envFrom of {where}", *_named(reference), (), _optional(reference))
    yield from _volumes(spec, kind)


def _volumes(spec: Yaml, kind: str) -> Iterator[_Use]:
    field_ = "secret" if kind == "Secret" else "configMap"
    for volume in items(spec, "volumes"):
        sources = [volume.get(field_), *(item.get(field_) for item in items(volume, "projected.sources"))]
        for source in sources:
            if isinstance(source, dict):
                name = source.get("secretName") or source.get("name")
                keys = tuple(str(item.get("key")) for item in items(source, "items"))
                yield _Use(f"volume {volume.get('name')}", str(name), keys, _optional(source))


def _named(reference: dict[str, Yaml]) -> tuple[str]:
    return (str(reference.get("name")),)


def _optional(reference: dict[str, Yaml]) -> bool:
    return reference.get("optional") is True


def _unresolved(
    context: References,
    kind: str,
    there: Mapping[tuple[str, str], frozenset[str] | None],
    external: Set[str],
) -> Iterator[Hit]:
    for key, template in context.templates:
        for use in _uses(template.get("spec"), kind):
            if use.optional or use.name in external:
                continue
            place = (key.namespace, use.name)
            if place not in there:
                yield context.hit(key, f"{use.what} needs {kind} {use.name}, which is not in the build")
                continue
            known = there[place]
            for data_key in use.keys if known is not None else ():
                if known is not None and data_key not in known:
                    yield context.hit(
                        key, f"{use.what} needs key {data_key} of {kind} {use.name}, which has no such key"
                    )


def secrets(context: References) -> Iterator[Hit]:
    yield from _unresolved(context, "Secret", context.secrets, context.external)
    for key, obj in context.objects.items():
        for tls in items(obj, "spec.tls") if key.kind == "Ingress" else ():
            name = tls.get("secretName")
            if name and (key.namespace, str(name)) not in context.secrets and name not in context.external:
                yield context.hit(key, f"tls needs Secret {name}, which is not in the build")


def pull_secrets(context: References) -> Iterator[Hit]:
    for key, template in context.templates:
        for reference in items(template, "spec.imagePullSecrets"):
            name = str(reference.get("name"))
            if (key.namespace, name) not in context.secrets and name not in context.external:
                yield context.hit(key, f"imagePullSecrets names Secret {name}, which is not in the build")


# Every namespace has it; the control plane keeps it there.
_GIVEN_CONFIG_MAPS = frozenset(["kube-root-ca.crt"])


def config_maps(context: References) -> Iterator[Hit]:
    return _unresolved(context, "ConfigMap", context.config_maps, _GIVEN_CONFIG_MAPS)


# --- Services and ports ------------------------------------------------------


def _backends(obj: Object) -> Iterator[dict[str, Yaml]]:
    """The `service` of every backend of an Ingress."""
    backends = [get(obj, "spec.defaultBackend")]
    for rule in items(obj, "spec.rules"):
        backends += [path.get("backend") for path in items(rule, "http.paths")]
    return (service for backend in backends if isinstance(service := get(backend, "service"), dict))


def ingress_services(context: References) -> Iterator[Hit]:
    for key, obj in context.objects.items():
        if key.kind != "Ingress":
            continue
        for backend in _backends(obj):
            name, port = str(backend.get("name")), backend.get("port")
            service = context.objects.get(ResourceId("Service", key.namespace, name))
            if service is None:
                yield context.hit(key, f"its backend is Service {name}, which is not in the build")
                continue
            ports = items(service, "spec.ports")
            asked = get(port, "name") or get(port, "number")
            if asked is not None and asked not in {p.get(f) for p in ports for f in ("name", "port")}:
                yield context.hit(key, f"its backend is port {asked} of Service {name}, which has no such port")


def _pods_of(context: References, namespace: str, selector: Mapping[str, Yaml]) -> list[dict[str, Yaml]]:
    return [
        template for key, template in context.templates if key.namespace == namespace and _labelled(template, selector)
    ]


def _labelled(template: dict[str, Yaml], selector: Mapping[str, Yaml]) -> bool:
    labels = get(template, "metadata.labels") or {}
    return all(labels.get(name) == value for name, value in selector.items())


def _port_names(template: dict[str, Yaml]) -> set[Yaml]:
    containers = kinds.containers(template.get("spec"))
    return {port.get("name") for container in containers for port in items(container, "ports")}


def service_ports(context: References) -> Iterator[Hit]:
    for key, obj in context.objects.items():
        selector = get(obj, "spec.selector")
        if key.kind != "Service" or not isinstance(selector, dict) or not selector:
            continue
        pods = _pods_of(context, key.namespace, selector)
        for port in items(obj, "spec.ports") if pods else ():
            target = port.get("targetPort")
            if isinstance(target, str) and not any(target in _port_names(pod) for pod in pods):
                yield context.hit(key, f"targetPort {target} is the name of no port of its pods")


def probe_ports(context: References) -> Iterator[Hit]:
    for key, template in context.templates:
        for container in kinds.containers(template.get("spec")):
            names = {port.get("name") for port in items(container, "ports")}
            for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                for action in ("httpGet", "tcpSocket"):
                    port = get(container, f"{probe}.{action}.port")
                    if isinstance(port, str) and port not in names:
                        where = f"{probe} of container {container.get('name')}"
                        yield context.hit(key, f"{where} asks port {port}, which is the name of no port of it")


# --- selectors ---------------------------------------------------------------


def services_without_pods(context: References) -> Iterator[Hit]:
    for key, obj in context.objects.items():
        selector = get(obj, "spec.selector")
        if key.kind == "Service" and isinstance(selector, dict) and selector:
            if get(obj, "spec.type") != "ExternalName" and not _pods_of(context, key.namespace, selector):
                yield context.hit(key, f"its selector ({_text(selector)}) matches no pod of the build")
        elif key.kind in ("PodDisruptionBudget", "NetworkPolicy"):
            field_ = "selector" if key.kind == "PodDisruptionBudget" else "podSelector"
            labels = get(obj, f"spec.{field_}.matchLabels")
            if isinstance(labels, dict) and labels and not _pods_of(context, key.namespace, labels):
                yield context.hit(key, f"its selector ({_text(labels)}) matches no pod of the build")


def _text(selector: Mapping[str, Yaml]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(selector.items()))


def own_selectors(context: References) -> Iterator[Hit]:
    for key, template in context.templates:
        labels = get(context.objects[key], "spec.selector.matchLabels")
        selects = key.kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet") and isinstance(labels, dict)
        if selects and not _labelled(template, labels):
            yield context.hit(key, f"its selector ({_text(labels)}) does not match its own pods")


# --- other names -------------------------------------------------------------


def service_accounts(context: References) -> Iterator[Hit]:
    for key, template in context.templates:
        name = get(template, "spec.serviceAccountName") or get(template, "spec.serviceAccount")
        if name and name != "default" and not context.has("ServiceAccount", key.namespace, str(name)):
            yield context.hit(key, f"ServiceAccount {name} is not in the build")


def claims(context: References) -> Iterator[Hit]:
    for key, template in context.templates:
        for volume in items(template, "spec.volumes"):
            name = get(volume, "persistentVolumeClaim.claimName")
            if name and not context.has("PersistentVolumeClaim", key.namespace, str(name)):
                yield context.hit(key, f"volume {volume.get('name')} needs claim {name}, which is not in the build")


def scale_targets(context: References) -> Iterator[Hit]:
    for key, obj in context.objects.items():
        target = get(obj, "spec.scaleTargetRef")
        if key.kind == "HorizontalPodAutoscaler" and isinstance(target, dict):
            kind, name = str(target.get("kind")), str(target.get("name"))
            if not context.has(kind, key.namespace, name):
                yield context.hit(key, f"it scales {kind} {name}, which is not in the build")


def without_namespace(context: References) -> Iterator[Hit]:
    scopes = kinds.custom_scopes(context.objects.values())
    for key, obj in context.objects.items():
        if not key.namespace and kinds.has_namespace(obj, scopes):
            yield context.hit(key, "it names no namespace")


_NAME = "correct the name, or add what it names to the overlay"

RULES: tuple[Rule[References], ...] = (
    Rule(
        "KG311",
        ERROR,
        "a Secret or a key of one is missing",
        "A container, a volume or an Ingress refers to a Secret that the build does not have, or to a key that it "
        "lacks (the keys of a sealed file stand in clear). Pods do not start. References with `optional: true` are "
        "left alone, and so are Secrets that environment.yaml says are put there by others.",
        _NAME,
        secrets,
    ),
    Rule(
        "KG312",
        ERROR,
        "a ConfigMap or a key of one is missing",
        "A container or a volume refers to a ConfigMap that the build does not have, or to a key that it lacks. Pods "
        "do not start. References with `optional: true` are left alone.",
        _NAME,
        config_maps,
    ),
    Rule(
        "KG313",
        ERROR,
        "an Ingress leads to no Service",
        "A backend names a Service, or a port of one, that the build does not have: visitors get an error 503.",
        _NAME,
        ingress_services,
    ),
    Rule(
        "KG314",
        ERROR,
        "a Service leads to a port that its pods do not name",
        "`targetPort` is a name, and no container of the selected pods has a port of that name.",
        _NAME,
        service_ports,
    ),
    Rule(
        "KG315",
        ERROR,
        "a probe asks a port that its container does not name",
        "The probe always fails, so the pod is restarted or never ready.",
        _NAME,
        probe_ports,
    ),
    Rule(
        "KG316",
        WARNING,
        "a selector matches no pod",
        "A Service, NetworkPolicy or PodDisruptionBudget selects by labels that no pod template of the build has.",
        "correct the labels, or remove the object",
        services_without_pods,
    ),
    Rule(
        "KG317",
        ERROR,
        "a workload does not select its own pods",
        "The API server refuses a workload whose selector does not match the labels of its template.",
        "make `spec.selector.matchLabels` and the labels of the template the same",
        own_selectors,
    ),
    Rule(
        "KG318",
        ERROR,
        "a ServiceAccount is missing",
        "No pod is created for a workload whose ServiceAccount does not exist.",
        _NAME,
        service_accounts,
    ),
    Rule(
        "KG319",
        ERROR,
        "a claim is missing",
        "Pods wait for a PersistentVolumeClaim that is not in the build.",
        _NAME,
        claims,
    ),
    Rule(
        "KG320",
        WARNING,
        "a login for a registry is missing",
        "`imagePullSecrets` names a Secret that the build does not have. Pods start where the images need no login.",
        "name it under `registry:` in environment.yaml, or add the Secret",
        pull_secrets,
    ),
    Rule(
        "KG321",
        ERROR,
        "an autoscaler scales nothing",
        "`scaleTargetRef` names a workload that is not in the build.",
        _NAME,
        scale_targets,
    ),
    Rule(
        "KG322",
        ERROR,
        "an object names no namespace",
        "Flux refuses namespaced objects without `metadata.namespace`, and puts nothing in its place.",
        "write the namespace into the object",
        without_namespace,
    ),
)
