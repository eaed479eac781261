"""The profile of `kasm-single-zone`: the built-in chart and upstream's 1.16 and 1.17."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from kasmgen import safe_text
from kasmgen.chart.profiles.generic import Lifted, Profile, check_same
from kasmgen.errors import InputError, SecretError
from kasmgen.kubernetes.resources import ResourceId, Secret
from kasmgen.project.config import CertificateInput, Environment, Project
from kasmgen.secrets import certificates as secrets_certificates
from kasmgen.secrets.required import TLS, Generate, RequiredSecret, SecretEntry
from kasmgen.yaml import mappings
from kasmgen.yaml.documents import Yaml

Role = Literal["ingress", "proxy", "rdp", "db"]

# data key of the password Secret -> its name under global.kasmPasswords
PASSWORDS = {
    "admin-password": "adminPassword",
    "db-password": "dbPassword",
    "manager-token": "managerToken",
    "redis-password": "redisPassword",
    "service-token": "serviceToken",
    "user-password": "userPassword",
}
# role -> its key under kasmCerts and the Secret's default name
CERTIFICATES: dict[Role, tuple[str, str]] = {
    "ingress": ("ingress", "kasm-ingress-cert"),
    "proxy": ("kasmProxy", "kasm-nginx-proxy-cert"),
    "rdp": ("rdpGateway", "kasm-rdpproxy-cert"),
    "db": ("db", "kasm-db-cert"),
}
# Replicas by size; where the values leave them null, upstream's own presets (its README) are filled in, because
# its schema demands a number.
REPLICAS: dict[str, dict[str, int]] = {
    "kasmProxy": {"small": 2, "medium": 2, "large": 4},
    "kasmApi": {"small": 3, "medium": 3, "large": 6},
    "kasmManager": {"small": 2, "medium": 2, "large": 4},
    "kasmGuac": {"small": 1, "medium": 2, "large": 3},
    "rdpGateway": {"small": 1, "medium": 1, "large": 3},
    "rdpHttpsGateway": {"small": 1, "medium": 1, "large": 3},
    "kasmShare": {"small": 1, "medium": 2, "large": 3},
}
_COMPONENTS = ("kasmApp", "servicesToDeploy")
_SIZE = ("kasmApp", "deploymentSize")
_PASSWORDS = ("global", "kasmPasswords")
_EXISTING = (*_PASSWORDS, "existingSecret")
_PULL = ("global", "image", "pullSecrets")
_CREDENTIALS = ("global", "image", "pullCredentials")
_PLACEHOLDER = "SSL Cert here"
_PEM = "it begins with -----BEGIN {}-----, and the lines below stay as they are (YAML: `|`)"

# environment field -> path in the values
_FIELDS: dict[str, mappings.Path] = {
    "hostname": ("global", "hostname"),
    "altHostnames": ("global", "altHostnames"),
    "namespace": ("global", "namespace"),
    "clusterDomain": ("global", "clusterDomain"),
    "size": _SIZE,
    "registry": _PULL,
}


class KasmSingleZone(Profile):
    """Kasm Workspaces in one zone, values as in the upstream 1.16 chart."""

    chart_names = ("kasm-single-zone",)
    certificates = tuple(CERTIFICATES)

    def lift(self, values: Mapping[str, Yaml]) -> Lifted:
        fields = {
            name: found for name, path in _FIELDS.items() if (found := mappings.get(values, path)) not in (None, "", [])
        }
        passwords = {
            key: Secret(_text(value, (*_PASSWORDS, name)))
            for key, name in PASSWORDS.items()
            if (value := mappings.get(values, (*_PASSWORDS, name))) not in (None, "")
        }
        pairs, rest = _lift_pairs(values)
        registry = {key: Secret(_text(value, (*_CREDENTIALS, key))) for key, value in _credentials(values).items()}
        for path in (*_FIELDS.values(), _CREDENTIALS, *((*_PASSWORDS, name) for name in PASSWORDS.values())):
            rest = mappings.without(rest, path)
        return Lifted(rest, passwords, pairs, registry, fields)

    def layer(self, project: Project, environment: Environment | None, given: Mapping[str, Yaml]) -> dict[str, Yaml]:
        namespace = (environment and environment.namespace) or project.namespace
        layers = [mappings.put(("global", "namespace"), namespace), _no_secrets(given)]
        if environment:
            fields = {
                "hostname": environment.hostname,
                "altHostnames": list(environment.alt_hostnames),
                "clusterDomain": environment.cluster_domain,
                "size": environment.size,
                "registry": environment.registry,
            }
            for name, value in fields.items():
                check_same(name, value, environment.values, _FIELDS[name])
            layers += [
                mappings.put(_FIELDS[name], value) for name, value in fields.items() if value or name == "hostname"
            ]
        return mappings.merge(*layers, _replicas(mappings.merge(given, *layers)))

    def secrets(
        self, environment: Environment, namespace: str, given: Mapping[str, Yaml]
    ) -> tuple[RequiredSecret, ...]:
        required: list[RequiredSecret] = []
        if not mappings.get(given, _EXISTING):
            entries: dict[str, SecretEntry] = {key: Generate() for key in PASSWORDS}
            name = f"{mappings.get(given, ('kasmApp', 'name')) or 'kasm'}-secrets"
            required.append(RequiredSecret(ResourceId("Secret", namespace, name), "Opaque", entries, role="passwords"))
        for role, (key, default) in CERTIFICATES.items():
            how = environment.certificates.get(role, CertificateInput())
            if how.source == "existing" or mappings.get(given, ("kasmCerts", key, "create"), True) is False:
                continue
            spec = secrets_certificates.documented(
                role,
                hostname=environment.hostname,
                alt_hostnames=environment.alt_hostnames,
                ingress_ip=environment.ingress_ip,
                namespace=namespace,
                cluster_domain=environment.cluster_domain,
                key_type=how.key_type or "",
                days=how.days or 0,
            )
            name = mappings.get(given, ("kasmCerts", key, "name")) or default
            required.append(RequiredSecret(ResourceId("Secret", namespace, name), TLS, certificate=spec, role=role))
        return tuple(required)

    def upstream_auth(self, environment: Environment, namespace: str, given: Mapping[str, Yaml]) -> str:
        del given  # the Service keeps its name even where kasmProxy.name is another
        return f"kasm-proxy.{namespace}.svc.{environment.cluster_domain}"

    def manual_steps(self, environment: Environment, namespace: str, given: Mapping[str, Yaml]) -> tuple[str, ...]:
        steps = [
            f"point DNS for {', '.join((environment.hostname, *environment.alt_hostnames))} at the Ingress controller"
        ]
        if not mappings.get(given, ("kasmApp", "upstreamAuth")):
            address = self.upstream_auth(environment, namespace, given)
            steps.append(f"in Kasm, Infrastructure > Zones: set Upstream Auth Address to {address}")
        if mappings.get(given, (*_COMPONENTS, "rdpGateway", "deploy"), True) and not mappings.get(
            given, (*_COMPONENTS, "rdpGateway", "expose", "type")
        ):
            steps.append("native RDP clients only: expose port 3389 of Service rdp-gateway (rdpGateway.expose.type)")
        return tuple(steps)

    def unused(self, environment: Environment) -> tuple[str, ...]:
        del environment
        return ()


def _text(value: Yaml, path: mappings.Path) -> str:
    if not isinstance(value, str):
        raise InputError(f"values.{'.'.join(path)}: text is expected", hint="put quotes around it")
    return value


def _credentials(values: Mapping[str, Yaml]) -> Mapping[str, Yaml]:
    found = mappings.get(values, _CREDENTIALS) or {}
    if not isinstance(found, Mapping):
        raise InputError(f"values.{'.'.join(_CREDENTIALS)}: a mapping is expected")
    return {key: value for key, value in found.items() if value not in (None, "")}


def _lift_pairs(values: Mapping[str, Yaml]) -> tuple[dict[str, tuple[bytes, Secret]], dict[str, Yaml]]:
    """Certificates with their keys that stand in the values, and the values without them."""
    pairs: dict[str, tuple[bytes, Secret]] = {}
    rest = dict(values)
    for role, (key, _) in CERTIFICATES.items():
        certificate, private = (mappings.get(values, ("kasmCerts", key, part)) for part in ("cert", "key"))
        for part in ("cert", "key"):
            rest = mappings.without(rest, ("kasmCerts", key, part))
        if certificate in (None, "") or _PLACEHOLDER in str(certificate):
            continue
        path = f"values.kasmCerts.{key}"
        # Neither is repeated: where they were swapped, the certificate is the private key.
        if "-----BEGIN CERTIFICATE-----" not in str(certificate):
            raise InputError(f"{path}.cert is no certificate in PEM form", hint=_PEM.format("CERTIFICATE"))
        if private in (None, ""):
            raise InputError(f"{path}.cert is there, but not {path}.key, its private key", hint="give both or neither")
        if "PRIVATE KEY-----" not in str(private):
            raise InputError(f"{path}.key is no private key in PEM form", hint=_PEM.format("PRIVATE KEY"))
        # Imported here: cryptography takes a tenth of a second to load, and few values hold a certificate.
        from kasmgen.secrets import tls

        pairs[role] = (str(certificate).encode(), Secret(str(private)))
        try:
            tls.check_pair(*pairs[role])
        except SecretError as error:
            raise SecretError(f"{path}: {error.message}", hint=error.hint) from None
    return pairs, rest


def _no_secrets(given: Mapping[str, Yaml]) -> dict[str, Yaml]:
    """Values under which the chart makes no Secret of its own: they come from the repository."""
    certs = {key: {"create": False} for key, _ in CERTIFICATES.values()}
    layer: dict[str, Yaml] = {"kasmCerts": certs}
    passwords = mappings.get(given, _PASSWORDS)
    if isinstance(passwords, Mapping) and passwords.get("existingSecret") == "":
        name = f"{mappings.get(given, ('kasmApp', 'name')) or 'kasm'}-secrets"
        layer = mappings.merge(layer, mappings.put(_EXISTING, name))
    return layer


def _replicas(given: Mapping[str, Yaml]) -> dict[str, Yaml]:
    """Replicas of the size for every component whose own are null."""
    size = mappings.get(given, _SIZE) or "small"
    if not isinstance(size, str) or size not in ("small", "medium", "large"):
        raise InputError(f"values.{'.'.join(_SIZE)}: '{safe_text.shown(str(size))}' is none of small, medium, large")
    layers = [
        mappings.put((*_COMPONENTS, name, "replicas"), presets[size])
        for name, presets in REPLICAS.items()
        if isinstance(mappings.get(given, (*_COMPONENTS, name)), Mapping)
        and mappings.get(given, (*_COMPONENTS, name, "replicas")) is None
    ]
    return mappings.merge(*layers)
