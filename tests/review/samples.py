"""A report with one of everything, for as many environments as a test wants."""

from __future__ import annotations

import copy

from kasmgen.kubernetes.resources import Object
from kasmgen.review import ObjectChange, Report, compare_builds, group
from kasmgen.review.risks import RiskContext, assess
from tests.review.builds import build, deployment, edited, plain, sealed, statefulset

MAIN = "spec.template.spec.containers.0"
SCRIPT = "#!/bin/sh\nset -eu\n" + "\n".join(f"echo step {i}" for i in range(40)) + "\n"
NGINX = "worker_processes 2;\nevents {\n  worker_connections 1024;\n}\n"


def diff(old: list[Object], new: list[Object]) -> tuple[ObjectChange, ...]:
    before, now = build(*old), build(*new)
    return assess(compare_builds(before, now), RiskContext(before, now))


def tls(not_after: str, names: str) -> Object:
    facts = {
        "not-before": "2026-01-01T00:00:00Z",
        "not-after": not_after,
        "dns-names": names,
        "issued-by": "CN=kasm",
        "fingerprint-sha256": "ab" * 32,
    }
    values = {"tls.crt": f"AA{not_after[:4]}", "tls.key": f"BB{not_after[:4]}"}
    return sealed("kasm-ingress-tls", values, annotations={f"kasmgen.dev/{key}": value for key, value in facts.items()})


def environment(number: int) -> list[Object]:
    host = f"kasm.env-{number:03}.example"
    rules = [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix"}]}}]
    return [
        deployment("proxy"),
        deployment("api"),
        statefulset("db"),
        plain("Service", "proxy", spec={"type": "ClusterIP", "ports": [{"name": "https", "port": 443}]}),
        plain("ConfigMap", "proxy-conf", data={"start.sh": SCRIPT, "nginx.conf": NGINX}),
        sealed("kasm-secrets", {"db-password": f"OLD{number}", "manager-token": "TTTT", "redis-password": "RRRR"}),
        tls("2026-12-31T00:00:00Z", "kasm.example"),
        plain("Ingress", "kasm", "networking.k8s.io/v1", spec={"rules": rules, "tls": [{"hosts": [host]}]}),
        deployment("legacy-share"),
        *(plain("ServiceAccount", f"sa{i}", metadata={"labels": {"helm.sh/chart": "kasm-1"}}) for i in range(5)),
    ]


def upgraded(number: int) -> list[Object]:
    """The environment after an upgrade: some changes in all of them, some here and there."""
    old = environment(number)
    new = copy.deepcopy(old)
    new[0] = edited(
        old[0], (f"{MAIN}.image", "registry.example/proxy:1.17.0"), (f"{MAIN}.resources.limits.memory", "1Gi")
    )
    pod = new[0]["spec"]["template"]["spec"]
    pod["containers"][0]["env"].append({"name": "WORKERS", "value": "4"})
    pod["initContainers"].reverse()
    files = {"start.sh": SCRIPT.replace("step 20", "step twenty"), "nginx.conf": NGINX.replace("1024", "4096")}
    new[4] = edited(old[4], ("data", files))
    for account in new[-5:]:
        account["metadata"]["labels"]["helm.sh/chart"] = "kasm-2"
    if number % 10 == 0:
        new[1] = edited(old[1], ("spec.replicas", 1), (f"{MAIN}.securityContext", {"privileged": True}))
    if number % 10 == 3:
        new[2] = edited(old[2], ("spec.volumeClaimTemplates.0.spec.resources.requests.storage", "10Gi"))
    if number % 25 == 0:
        new[3] = edited(old[3], ("spec.type", "LoadBalancer"))
    if number % 5 == 0:
        new[5] = edited(old[5], ("data.db-password", "ENC[AES256_GCM,data:NEW,iv:aXY=,tag:dGFn,type:str]"))
    if number % 7 == 0:
        new[6] = tls("2027-12-31T00:00:00Z", "kasm.example,vdi.example")
    if number % 3 == 0:
        del new[8]
    return new


def report(environments: int = 8) -> Report:
    """`environments` upgraded ones, of which every sixth stays the same, one added, one removed, one broken."""
    changes = {
        f"env-{i:03}": diff(environment(i), environment(i) if i % 6 == 5 else upgraded(i)) for i in range(environments)
    }
    return group(
        {**changes, "zz-new": diff([], environment(500)), "zz-old": diff(environment(501), [])},
        added={"zz-new"},
        removed={"zz-old"},
        failed={"broken": "kustomize build failed:\naccumulating resources: missing file 'patches/x.yaml'"},
        base="main (3f2a9c1)",
        head="feature/kasm-1.17 (working tree)",
    )


HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    '"><svg/onload=window.hacked=1>',
    "</details></summary><h1>owned</h1>",
    "```\n</details>\n# owned\n[click](javascript:window.hacked=1)\n```",
    "`` ` ``` ```` | a | b |\n|---|\n",
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred\u202egnp.exe\u2066",
    "@everyone #1 GH-1 www.evil.example https://evil.example owned@evil.example",
    "--><!-- {{DATA}} {{SCRIPT}} ]]> \u2028 \u2029 \ud800 \x00",
    "$(touch owned) ${owned} %s {0} \\u003c *bold* _it_ ~~x~~",
)
"""What somebody could put into a manifest to take over a reader's browser, terminal or page."""


def hostile_report() -> Report:
    """A report that has every hostile text in every place that takes one."""
    entries = {}
    for number, text in enumerate(HOSTILE):
        old = [
            plain("ConfigMap", f"a{text}", namespace=text, data={text: "x", "k": f"one\n{text}\n"}),
            edited(deployment(f"d{number}"), (f"{MAIN}.image", text), (f"{MAIN}.env.0.name", text)),
            {**plain(f"Kind{text}", "k", "example.com/v1"), "spec": {"list": [text, {"name": text, "v": 1}]}},
            sealed("s", {text: "AAAA", "b": "BBBB"}, recipients=(text,)),
        ]
        new = [
            plain("ConfigMap", f"a{text}", namespace=text, data={text: text, "k": f"two\n{text * 2}\n"}),
            edited(old[1], (f"{MAIN}.image", text + "2"), (f"{MAIN}.env.0.value", text)),
            {**plain(f"Kind{text}", "k", "example.com/v1"), "spec": {"list": [{"name": text, "v": 2}, text]}},
            sealed("s", {text: "CCCC", "b": "BBBB"}, recipients=(text + "2",)),
            plain("Service", f"n{text}", spec={"type": "NodePort", "x": text}),
        ]
        entries[f"env-{number}{text}"] = diff(old, new)
    whole = [plain("Service", f"n{text}", namespace=text) for text in HOSTILE]
    entries |= {f"gone{text}": diff(whole[number:], []) for number, text in enumerate(HOSTILE[:3])}
    gone = [name for name in entries if name.startswith("gone")]
    return group(
        entries, removed=gone, failed={f"broken{HOSTILE[0]}": "\n".join(HOSTILE)}, base=HOSTILE[0], head=HOSTILE[6]
    )
