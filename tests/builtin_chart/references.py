"""Every name by which one object of a render points to another, followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.builtin_chart.conftest import Object, containers, pod_specs

# Secrets that the chart leaves to the user, with the keys that it reads from them.
Outside = dict[str, set[str]]


def problems(objects: list[Object], outside: Outside | None = None) -> list[str]:
    """References that lead nowhere, names that stand twice, labels that select nothing."""
    return [*Check(objects, outside or {}).run()]


class Check:
    def __init__(self, objects: list[Object], outside: Outside) -> None:
        self.objects = objects
        self.pods = pod_specs(objects)
        self.secrets = {name: set(o.get("data", {})) | set(o.get("stringData", {})) for name, o in self.named("Secret")}
        self.secrets.update(outside)
        self.config_maps = {name: set(o["data"]) for name, o in self.named("ConfigMap")}
        self.accounts = {name for name, _ in self.named("ServiceAccount")}
        self.service_ports = {name: {p["port"] for p in o["spec"]["ports"]} for name, o in self.named("Service")}

    def named(self, kind: str) -> Iterator[tuple[str, Object]]:
        return ((o["metadata"]["name"], o) for o in self.objects if o["kind"] == kind)

    def run(self) -> Iterator[str]:
        yield from self.identities()
        for owner, template in self.pods.items():
            yield from self.pod(owner, template)
        yield from self.services()
        yield from self.selectors()
        yield from self.ingress()
        for _, workload in self.named("StatefulSet"):
            service = workload["spec"]["serviceName"]
            if service not in self.service_ports:
                yield f"StatefulSet names Service {service}, which is not there"

    def identities(self) -> Iterator[str]:
        seen = set()
        for o in self.objects:
            key = (o["kind"], o["metadata"]["namespace"], o["metadata"]["name"])
            if key in seen:
                yield f"{key} is there twice"
            seen.add(key)
        namespaces = {o["metadata"]["namespace"] for o in self.objects}
        if len(namespaces) != 1:
            yield f"objects are spread over namespaces {sorted(namespaces)}"

    def pod(self, owner: str, template: Object) -> Iterator[str]:
        spec = template["spec"]
        if spec["serviceAccountName"] not in self.accounts | {"default"}:
            yield f"{owner}: service account {spec['serviceAccountName']} is not there"
        for pull in spec.get("imagePullSecrets", []):
            if ".dockerconfigjson" not in self.secrets.get(pull["name"], set()):
                yield f"{owner}: pull Secret {pull['name']} is not there"
        volumes = {v["name"]: v for v in spec.get("volumes", [])}
        if len(volumes) != len(spec.get("volumes", [])):
            yield f"{owner}: two volumes have the same name"
        kind, _, name = owner.partition("/")
        workload = next(o for n, o in self.named(kind) if n == name)
        claims = {c["metadata"]["name"] for c in workload["spec"].get("volumeClaimTemplates", [])}
        used: set[str] = set()
        for container in containers(template):
            where = f"{owner}, container {container['name']}"
            yield from self.environment(where, container)
            yield from self.probes(where, container)
            used |= {m["name"] for m in container.get("volumeMounts", [])}
            yield from self.mounts(where, container, volumes, claims)
        for extra in set(volumes) - used:
            yield f"{owner}: volume {extra} is mounted nowhere"
        for volume in volumes.values():
            yield from self.volume(owner, volume)

    def environment(self, where: str, container: Object) -> Iterator[str]:
        names = [item["name"] for item in container.get("env", [])]
        if len(set(names)) != len(names):
            yield f"{where}: a variable stands twice in {names}"
        for item in container.get("env", []):
            source = item.get("valueFrom", {})
            for word, known in (("secretKeyRef", self.secrets), ("configMapKeyRef", self.config_maps)):
                if word in source and source[word]["key"] not in known.get(source[word]["name"], set()):
                    yield f"{where}: {item['name']} reads {source[word]}, which is not there"

    def probes(self, where: str, container: Object) -> Iterator[str]:
        ports = {p["name"]: p["containerPort"] for p in container.get("ports", [])}
        if len(ports) != len(container.get("ports", [])):
            yield f"{where}: two ports have the same name"
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            for action in ("httpGet", "tcpSocket"):
                port = container.get(probe, {}).get(action, {}).get("port")
                if isinstance(port, str) and port not in ports:
                    yield f"{where}: {probe} asks port {port}, which it does not have"

    def mounts(self, where: str, container: Object, volumes: dict[str, Object], claims: set[str]) -> Iterator[str]:
        mounts = container.get("volumeMounts", [])
        paths = [m["mountPath"] for m in mounts]
        if len(set(paths)) != len(paths):
            yield f"{where}: a path is mounted twice in {paths}"
        # Two writable mounts of one volume must not see each other's files.
        shared = [(m["name"], m.get("subPath")) for m in mounts if not m.get("readOnly")]
        if len(set(shared)) != len(shared):
            yield f"{where}: the same part of a volume is mounted twice: {shared}"
        for mount in mounts:
            if mount["name"] not in volumes.keys() | claims:
                yield f"{where}: mounts {mount['name']}, which is no volume"
                continue
            volume = volumes.get(mount["name"], {})
            path = mount.get("subPath")
            keys = self.keys(volume)
            if path and keys is not None and path not in keys:
                yield f"{where}: mounts {path} of {mount['name']}, which has {sorted(keys)}"

    def keys(self, volume: Object) -> set[str] | None:
        if "secret" in volume:
            return self.secrets.get(volume["secret"]["secretName"], set())
        if "configMap" in volume:
            return self.config_maps.get(volume["configMap"]["name"], set())
        return None

    def volume(self, owner: str, volume: Object) -> Iterator[str]:
        if "secret" in volume and volume["secret"]["secretName"] not in self.secrets:
            yield f"{owner}: Secret {volume['secret']['secretName']} is not there"
        if "configMap" in volume and volume["configMap"]["name"] not in self.config_maps:
            yield f"{owner}: ConfigMap {volume['configMap']['name']} is not there"

    def services(self) -> Iterator[str]:
        for name, service in self.named("Service"):
            chosen = [t for t in self.pods.values() if selects(service["spec"]["selector"], t)]
            if len(chosen) != 1:
                yield f"Service {name} selects {len(chosen)} workloads"
                continue
            declared = {p["containerPort"] for c in containers(chosen[0]) for p in c.get("ports", [])}
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                if target not in declared:
                    yield f"Service {name} port {target} is declared by no container"

    def selectors(self) -> Iterator[str]:
        for owner, template in self.pods.items():
            kind, _, name = owner.partition("/")
            if kind == "Job":
                continue
            workload = next(o for n, o in self.named(kind) if n == name)
            labels = workload["spec"]["selector"]["matchLabels"]
            chosen = [other for other, t in self.pods.items() if selects(labels, t)]
            if chosen != [owner]:
                yield f"{owner} selects {chosen}"
            for spread in template["spec"].get("topologySpreadConstraints", []):
                if not selects(spread["labelSelector"]["matchLabels"], template):
                    yield f"{owner}: a spread constraint does not select its own pods"
        for _, budget in self.named("PodDisruptionBudget"):
            labels = budget["spec"]["selector"]["matchLabels"]
            if len([t for t in self.pods.values() if selects(labels, t)]) != 1:
                yield f"PodDisruptionBudget {budget['metadata']['name']} does not select one workload"
        for _, policy in self.named("NetworkPolicy"):
            yield from self.policy(policy)

    def policy(self, policy: Object) -> Iterator[str]:
        name = policy["metadata"]["name"]
        labels = policy["spec"]["podSelector"].get("matchLabels")
        if labels:
            chosen = [t for t in self.pods.values() if selects(labels, t)]
            declared = {p["containerPort"] for t in chosen for c in containers(t) for p in c.get("ports", [])}
            if len(chosen) != 1:
                yield f"NetworkPolicy {name} selects {len(chosen)} workloads"
            for rule in policy["spec"].get("ingress", []):
                for port in rule["ports"]:
                    if port["port"] not in declared:
                        yield f"NetworkPolicy {name} opens port {port['port']}, which nobody declares"
                yield from self.peers(name, rule)

    def peers(self, name: str, rule: Object) -> Iterator[str]:
        known = {t["metadata"]["labels"]["app.kubernetes.io/name"] for t in self.pods.values()}
        for peer in rule.get("from", []):
            for expression in peer.get("podSelector", {}).get("matchExpressions", []):
                for value in set(expression["values"]) - known:
                    yield f"NetworkPolicy {name} lets {value} in, which is not there"

    def ingress(self) -> Iterator[str]:
        for _, ingress in self.named("Ingress"):
            for tls in ingress["spec"]["tls"]:
                if not {"tls.crt", "tls.key"} <= self.secrets.get(tls["secretName"], set()):
                    yield f"Ingress names TLS Secret {tls['secretName']}, which is not there"
            for rule in ingress["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    backend = path["backend"]["service"]
                    if backend["port"]["number"] not in self.service_ports.get(backend["name"], set()):
                        yield f"Ingress sends {path['path']} to {backend}, which is not there"


def selects(labels: dict[str, Any], template: Object) -> bool:
    return labels.items() <= template["metadata"]["labels"].items()
