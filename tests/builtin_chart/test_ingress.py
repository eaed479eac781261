"""How the application is reached: the Ingress, RDP from outside, and who may talk to whom inside."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builtin_chart.conftest import PLAIN, Object, Render, find, merged, names, services

pytestmark = pytest.mark.tool

HOSTS = {"global": {"hostname": "kasm.example.com", "altHostnames": ["kasm.example.org", "*.kasm.example.net"]}}


def ingress(render: Render, *layers: Object) -> Object:
    return find(render(merged(PLAIN, *layers)), "Ingress", "kasm-ingress")


def paths(rule: Object) -> list[tuple[str, str, int]]:
    for path in rule["http"]["paths"]:
        assert path["pathType"] == "Prefix"
    backends = [(p["path"], p["backend"]["service"]) for p in rule["http"]["paths"]]
    return [(path, b["name"], b["port"]["number"]) for path, b in backends]


def test_every_host_name_gets_tls_and_a_rule(render: Render) -> None:
    """D-32."""
    spec = ingress(render, HOSTS)["spec"]
    hosts = ["kasm.example.com", "kasm.example.org", "*.kasm.example.net"]
    assert spec["tls"] == [{"secretName": "kasm-ingress-cert", "hosts": hosts}]
    assert [rule["host"] for rule in spec["rules"]] == hosts
    for rule in spec["rules"]:
        assert paths(rule) == [("/", "kasm-proxy", 8080)]


def test_without_a_host_name_one_rule_takes_every_request(render: Render) -> None:
    """D-31: an empty text is no host for the API server."""
    spec = ingress(render, {"global": {"hostname": ""}})["spec"]
    assert spec["tls"] == [{"secretName": "kasm-ingress-cert"}]
    (rule,) = spec["rules"]
    assert "host" not in rule
    assert paths(rule) == [("/", "kasm-proxy", 8080)]
    spec = ingress(render, {"global": {"hostname": "", "altHostnames": ["kasm.example.org"]}})["spec"]
    assert [rule["host"] for rule in spec["rules"]] == ["kasm.example.org"]


def test_a_host_name_that_stands_twice_gets_one_rule(render: Render) -> None:
    spec = ingress(render, {"global": {"altHostnames": ["kasm.example.com"]}})["spec"]
    assert [rule["host"] for rule in spec["rules"]] == ["kasm.example.com"]


def test_api_requests_pass_the_proxy_unless_wished_otherwise(render: Render) -> None:
    """D-73."""
    bypass = {"ingress": {"apiBypass": True}}
    for rule in ingress(render, HOSTS, bypass)["spec"]["rules"]:
        assert paths(rule) == [
            ("/", "kasm-proxy", 8080),
            ("/api/", "kasm-api", 8080),
            ("/api/share/", "kasm-share", 8182),
        ]
    (rule,) = ingress(render, bypass, services(kasmRedis={"deploy": False}))["spec"]["rules"]
    assert [path for path, _, _ in paths(rule)] == ["/", "/api/"]


def test_class_annotations_body_size_and_timeouts_are_values(render: Render) -> None:
    """D-74."""
    assert "ingressClassName" not in ingress(render)["spec"]
    assert "annotations" not in ingress(render)["metadata"]
    values = {
        "className": "nginx",
        "controller": "nginx",
        "timeoutSeconds": 7200,
        "annotations": {
            "cert-manager.io/cluster-issuer": "le",
            "nginx.ingress.kubernetes.io/proxy-body-size": "9g",
        },
    }
    found = ingress(render, {"ingress": values})
    assert found["spec"]["ingressClassName"] == "nginx"
    assert found["metadata"]["annotations"] == {
        "cert-manager.io/cluster-issuer": "le",
        "nginx.ingress.kubernetes.io/proxy-body-size": "9g",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "7200",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "7200",
    }


def test_the_ingress_can_be_left_out(render: Render) -> None:
    assert "Ingress/kasm-ingress" not in names(render(merged(PLAIN, {"ingress": {"enabled": False}})))


# --- RDP from outside ----------------------------------------------------


def test_rdp_is_not_exposed_by_itself(render: Render) -> None:
    for objects in (render(PLAIN), render(merged(PLAIN, services(rdpGateway={"deploy": False})))):
        assert {o["spec"].get("type") for o in objects if o["kind"] == "Service"} == {None}


def test_rdp_is_exposed_by_a_load_balancer(render: Render) -> None:
    """D-75."""
    expose = {
        "type": "LoadBalancer",
        "annotations": {"lb/scheme": "internal"},
        "loadBalancerSourceRanges": ["192.0.2.0/24"],
    }
    service = find(render(merged(PLAIN, services(rdpGateway={"expose": expose}))), "Service", "rdp-gateway-external")
    assert service["metadata"]["annotations"] == {"lb/scheme": "internal"}
    assert service["spec"] == {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "loadBalancerSourceRanges": ["192.0.2.0/24"],
        "selector": {"app.kubernetes.io/name": "rdp-gateway"},
        "ports": [{"name": "rdp-gateway-3389", "port": 3389, "protocol": "TCP"}],
    }


def test_rdp_is_exposed_by_a_port_of_the_nodes(render: Render) -> None:
    """D-75. Source ranges are for load balancers; the API server refuses them elsewhere."""
    expose = {
        "type": "NodePort",
        "nodePort": 30389,
        "externalTrafficPolicy": "Cluster",
        "loadBalancerSourceRanges": ["192.0.2.0/24"],
    }
    objects = render(merged(PLAIN, services(rdpGateway={"name": "rdp", "expose": expose})))
    assert find(objects, "Service", "rdp-gateway-external")["spec"] == {
        "type": "NodePort",
        "externalTrafficPolicy": "Cluster",
        "selector": {"app.kubernetes.io/name": "rdp"},
        "ports": [{"name": "rdp-gateway-3389", "port": 3389, "protocol": "TCP", "nodePort": 30389}],
    }
    # What exists twice under one name would be two workloads behind one Service.
    off = services(rdpGateway={"deploy": False, "expose": expose})
    assert "Service/rdp-gateway-external" not in names(render(merged(PLAIN, off)))


# --- NetworkPolicies -----------------------------------------------------

ANYONE = "anyone"
APPLICATION = {"kasm-api", "kasm-guac", "kasm-manager", "kasm-proxy", "kasm-share", "rdp-gateway", "rdp-https-gw"}


def allowed(objects: list[Object], to: str) -> dict[int, set[str]]:
    """By port of the component: the components that may reach it, and "anyone"."""
    found: dict[int, set[str]] = {}
    for policy in objects:
        if policy["kind"] != "NetworkPolicy":
            continue
        if policy["spec"]["podSelector"].get("matchLabels") != {"app.kubernetes.io/name": to}:
            continue
        assert policy["spec"]["policyTypes"] == ["Ingress"]
        for rule in policy["spec"]["ingress"]:
            peers = {ANYONE} if "from" not in rule else set()
            for peer in rule.get("from", []):
                selector = peer.get("podSelector", {}).get("matchExpressions")
                peers |= set(selector[0]["values"]) if selector else {str(peer)}
            for port in rule["ports"]:
                found[port["port"]] = found.get(port["port"], set()) | peers
    return found


def test_only_those_who_need_it_reach_a_component(render: Render) -> None:
    """D-81: the database is for the holders of its password, Redis for share, the proxy for everyone."""
    objects = render(PLAIN)
    database = {"kasm-api", "kasm-manager", "kasm-share", "kasm-db-init"}
    assert allowed(objects, "kasm-db") == {5432: database}
    assert allowed(objects, "kasm-redis") == {6379: {"kasm-share"}}
    assert allowed(objects, "kasm-proxy") == dict.fromkeys((8080, 8443), APPLICATION | {ANYONE})
    for name, ports in {
        "kasm-api": [8080],
        "kasm-manager": [8181],
        "kasm-guac": [3000, 3001, 3002, 3003, 3004],
        "kasm-share": [8182],
        "rdp-gateway": [5555, 3389],
        "rdp-https-gw": [9443],
    }.items():
        assert allowed(objects, name) == dict.fromkeys(ports, APPLICATION), name


def test_who_reads_a_password_may_reach_what_it_opens(render: Render) -> None:
    """The policies follow the environment: both ways, so that neither is forgotten."""
    objects = render(PLAIN)
    holders: dict[str, set[str]] = {}
    for o in objects:
        if o["kind"] in ("Deployment", "Job", "StatefulSet"):
            template = o["spec"]["template"]
            for key in ("db-password", "redis-password"):
                if f"'key': '{key}'" in str(template):
                    holders.setdefault(key, set()).add(template["metadata"]["labels"]["app.kubernetes.io/name"])
    assert allowed(objects, "kasm-db")[5432] == holders["db-password"] - {"kasm-db"}
    assert allowed(objects, "kasm-redis")[6379] == holders["redis-password"] - {"kasm-redis"}


def test_the_outside_is_let_in_where_it_is_meant_to_come_in(render: Render) -> None:
    front = {"namespaceSelector": {"matchLabels": {"name": "ingress"}}}
    office = {"ipBlock": {"cidr": "192.0.2.0/24"}}

    def ports(name: str, **values: Any) -> dict[int, set[str]]:
        expose = values.pop("expose", "")
        bypass = values.pop("bypass", False)
        layers = {"networkPolicy": values, "ingress": {"apiBypass": bypass}}
        objects = render(merged(PLAIN, layers, services(rdpGateway={"expose": {"type": expose}})))
        return {port: peers - APPLICATION for port, peers in allowed(objects, name).items()}

    assert ports("kasm-proxy", ingressFrom=[front]) == {8080: {str(front)}, 8443: {str(front)}}
    assert ports("kasm-api") == {8080: set()}
    assert ports("kasm-api", bypass=True) == {8080: {ANYONE}}
    assert ports("kasm-share", bypass=True, ingressFrom=[front]) == {8182: {str(front)}}
    assert ports("rdp-gateway") == {5555: set(), 3389: set()}
    assert ports("rdp-gateway", expose="NodePort") == {5555: set(), 3389: {ANYONE}}
    assert ports("rdp-gateway", rdpFrom=[office]) == {5555: set(), 3389: {str(office)}}
    assert ports("rdp-gateway", rdpFrom=[office], expose="LoadBalancer") == {5555: set(), 3389: {str(office)}}


def test_egress_is_restricted_on_request_only(render: Render) -> None:
    def egress(values: Object) -> list[Object]:
        found = [o["spec"] for o in render(merged(PLAIN, values)) if o["kind"] == "NetworkPolicy"]
        return [spec for spec in found if "Egress" in spec["policyTypes"]]

    assert egress({}) == []
    wanted = {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443, "protocol": "TCP"}]}
    (spec,) = egress({"networkPolicy": {"extraEgress": [wanted]}})
    members = set(spec["podSelector"]["matchExpressions"][0]["values"])
    assert members == APPLICATION | {"kasm-db", "kasm-redis", "kasm-db-init"}
    each_other, dns, own = spec["egress"]
    assert each_other == {"to": [{"podSelector": spec["podSelector"]}]}
    assert {p["protocol"] for p in dns["ports"] if p["port"] == 53} == {"TCP", "UDP"}
    assert own == wanted


def test_policies_can_be_switched_off(render: Render) -> None:
    off = render(merged(PLAIN, {"networkPolicy": {"enabled": False}}))
    assert not [o for o in off if o["kind"] == "NetworkPolicy"]


@pytest.mark.parametrize("component", ["kasmGuac", "rdpGateway", "rdpHttpsGateway", "kasmShare", "kasmRedis"])
def test_policies_name_only_components_that_are_there(render: Render, component: str) -> None:
    objects = render(merged(PLAIN, services(**{component: {"deploy": False}})))
    there = {
        o["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
        for o in objects
        if o["kind"] in ("Deployment", "Job", "StatefulSet")
    }
    for policy in (o for o in objects if o["kind"] == "NetworkPolicy"):
        for peers in allowed(objects, policy["metadata"]["labels"]["app.kubernetes.io/name"]).values():
            assert peers - {ANYONE} <= there
