"""The two input files: strict reading, writing, and their published JSON Schemas."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kasmgen.errors import InputError
from kasmgen.project import config
from kasmgen.project.config import CertificateInput, ChartRef, CheckOff, Checks, Environment, FluxInput, Project
from kasmgen.secrets import certificates
from kasmgen.yaml import documents

PROJECT = "apiVersion: kasmgen.dev/v1\nkind: Project\n"
ENVIRONMENT = "apiVersion: kasmgen.dev/v1\nkind: Environment\nhostname: kasm.example.com\n"
DIGEST = "sha256:" + "0123456789abcdef" * 4


def environment(more: str) -> Environment:
    return config.parse_environment(ENVIRONMENT + more, "prod")


def refusal(text: str, kind: str = "Environment") -> InputError:
    with pytest.raises(InputError) as caught:
        if kind == "Environment":
            config.parse_environment(text, "prod")
        else:
            config.parse_project(text)
    return caught.value


# --- what is read --------------------------------------------------------------------


def test_a_project_with_nothing_in_it_is_the_default_one() -> None:
    assert config.parse_project(PROJECT) == Project()


def test_every_field_of_a_project_is_read() -> None:
    text = PROJECT + (
        f"chart: {{source: charts/x, version: 1.0.0, digest: '{DIGEST}'}}\nrelease: r\nnamespace: ns\n"
        "values: {a: 0755}\nplain: [a.b, c]\n"
        "checks: {off: [{rule: KG502, reason: ' why ', environments: [dev]}]}\n"
    )
    assert config.parse_project(text) == Project(
        ChartRef("charts/x", "1.0.0", DIGEST),
        "r",
        "ns",
        {"a": 493},
        ("a.b", "c"),
        Checks((CheckOff("KG502", "why", ("dev",)),)),
    )


def test_every_field_of_an_environment_is_read_and_canonical() -> None:
    text = """
altHostnames: [Alt.example.com, "*.bücher.example"]
ingressIP: 2001:DB8::0005
namespace: prod
clusterDomain: corp.local.
size: large
registry: login
certificates:
  ingress: {source: existing}
  db: {keyType: ecdsa-p256, days: 90}
  proxy:
flux:
  {source: infra, url: "ssh://git@git.example.com/kasm.git", branch: prod, interval: 30m, timeout: 5m,
   decryptionSecret: age}
chart: {source: ../chart.tgz}
values: {kasmApp: {name: k}}
"""
    assert environment(text) == Environment(
        name="prod",
        hostname="kasm.example.com",
        alt_hostnames=("alt.example.com", "*.xn--bcher-kva.example"),
        ingress_ip="2001:db8::5",
        namespace="prod",
        cluster_domain="corp.local",
        size="large",
        registry="login",
        certificates={
            "ingress": CertificateInput("existing"),
            "db": CertificateInput("kasmgen", "ecdsa-p256", 90),
            "proxy": CertificateInput(),
        },
        flux=FluxInput("infra", "ssh://git@git.example.com/kasm.git", "prod", "30m", "5m", "age"),
        chart=ChartRef("../chart.tgz"),
        values={"kasmApp": {"name": "k"}},
    )


def test_a_key_without_a_value_is_a_key_that_is_not_there() -> None:
    keys = validator("environment").schema["properties"].keys() - {"apiVersion", "kind", "hostname"}
    assert environment("".join(f"{key}:\n" for key in keys)) == Environment("prod", "kasm.example.com")
    assert (
        environment("flux: {url: , branch: , interval: }\ncertificates: {db: {days: , keyType: }}\n").flux
        == FluxInput()
    )
    assert config.parse_project(PROJECT + "chart:\nrelease:\nnamespace: ''\nvalues:\nchecks: {off: }\n") == Project()


# --- what is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "path", "near"),
    [
        ("hostnmae: x\n", "hostnmae", "hostname"),
        ("alt_hostnames: []\n", "alt_hostnames", "altHostnames"),
        ("flux: {interwal: 1h}\n", "flux.interwal", "interval"),
        ("certificates: {db: {keytype: x}}\n", "certificates.db.keytype", "keyType"),
        ("chart: {versoin: x}\n", "chart.versoin", "version"),
    ],
)
def test_an_unknown_key_names_file_path_and_the_nearest_known_key(more: str, path: str, near: str) -> None:
    error = refusal(ENVIRONMENT + more)
    assert error.message == f"overlays/prod/environment.yaml: {path}: unknown key"
    assert error.hint == f"perhaps you meant '{near}'"


def test_off_means_off_with_quotes_and_without() -> None:
    off = "[{rule: KG502, reason: x}]"
    texts = [f"checks:\n  {key}: {off}\n" for key in ("off", "'off'", '"off"')]
    assert {config.parse_project(PROJECT + text).checks.off for text in texts} == {(CheckOff("KG502", "x"),)}


def test_an_unknown_key_that_is_near_to_nothing_lists_the_known_ones() -> None:
    error = refusal(PROJECT + '"zz\\e\\n": 1\n', "Project")
    assert error.message == r"kasmgen.yaml: zz\x1b\n: unknown key"
    assert error.hint == "known keys: apiVersion, chart, checks, kind, namespace, plain, release, values"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("[1]", "a mapping is expected"),
        ("kind: Environment\n", "apiVersion: must be kasmgen.dev/v1"),
        ("apiVersion: kasmgen.dev/v2\nkind: Environment\n", "apiVersion: must be kasmgen.dev/v1"),
        (PROJECT, "kind: must be Environment"),
        ("apiVersion: kasmgen.dev/v1\nkind: Environment\n", "hostname: is missing"),
        (ENVIRONMENT + "---\n" + ENVIRONMENT, "one YAML document is expected"),
        (ENVIRONMENT + "size: small\nsize: large\n", "size: the key stands there twice"),
        (ENVIRONMENT + "values: {a: {b: 1, b: 2}}\n", "values.a.b: the key stands there twice"),
        (ENVIRONMENT + "a: [\n", "line 5: not YAML"),
        (ENVIRONMENT + "size: huge\n", "size: 'huge' is none of small, medium, large"),
        (ENVIRONMENT + "size: [small]\n", "size: text is expected"),
        (ENVIRONMENT + "hostname2: x\n", "hostname2: unknown key"),
        (ENVIRONMENT + "altHostnames: a.example\n", "altHostnames: a list is expected"),
        (ENVIRONMENT + "altHostnames: [1.5]\n", "altHostnames: a list of texts is expected"),
        (ENVIRONMENT + "altHostnames: [10.0.0.1]\n", "altHostnames: '10.0.0.1' is an address"),
        (ENVIRONMENT + "ingressIP: kasm.example\n", "ingressIP: 'kasm.example' is no IP address"),
        (ENVIRONMENT + "namespace: Prod\n", "namespace: 'Prod' is no DNS label"),
        (ENVIRONMENT + "registry: ../x\n", "registry: '../x' is no DNS name"),
        (ENVIRONMENT + "values: text\n", "values: a mapping is expected"),
        (ENVIRONMENT + "certificates: {db: 5}\n", "certificates.db: a mapping is expected"),
        (ENVIRONMENT + "certificates: {db: {days: 0}}\n", "certificates.db.days: must be 1 to 36500"),
        (ENVIRONMENT + "certificates: {db: {days: yes}}\n", "certificates.db.days: a whole number is expected"),
        (ENVIRONMENT + "certificates: {db: {days: 1.5}}\n", "certificates.db.days: a whole number is expected"),
        (ENVIRONMENT + "certificates: {db: {source: acme}}\n", "certificates.db.source: 'acme' is none of"),
        (ENVIRONMENT + "flux: {interval: 1d}\n", "flux.interval: '1d' is no duration"),
        (ENVIRONMENT + "flux: {url: git@example.com:x}\n", "flux.url: '***@example.com:x' is no Git address"),
        (ENVIRONMENT + "chart: {version: 1.10}\n", "chart.version: text is expected"),
        (ENVIRONMENT + "chart: {digest: sha256:abc}\n", "chart.digest: must be sha256: and 64 hexadecimal digits"),
    ],
)
def test_what_does_not_fit_names_file_and_path(text: str, said: str) -> None:
    error = refusal(text)
    assert error.message.startswith("overlays/prod/environment.yaml")
    assert said in error.message


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("release: " + "a" * 54, "release: "),
        ("chart: x", "chart: a mapping is expected"),
        ("checks: {of: []}", "checks.of: unknown key"),
        ("checks: {off: [{rule: KG1, reason: x}]}", "checks.off[0].rule: must be"),
        ("checks: {off: [{rule: KG501, reason: x}, {rule: KG502}]}", "checks.off[1].reason: is missing"),
        ("checks: {off: [{rule: KG502, reason: x, why: y}]}", "checks.off[0].why: unknown key"),
    ],
)
def test_what_does_not_fit_in_a_project_names_file_and_path(more: str, said: str) -> None:
    error = refusal(PROJECT + more, "Project")
    assert error.message.startswith("kasmgen.yaml: ")
    assert said in error.message


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter2@git.example.com/x",
        "http://hunter2@h/x",
        "ssh://git:hunter2@h/x",
        "ftp://u:hunter2@h/x",
        "https://u:hunter2@h",
        "u:hunter2@h:x y",
        "https://u:hunter2@h/x\ny",
    ],
)
def test_credentials_in_a_git_address_are_refused_and_never_quoted(url: str) -> None:
    with pytest.raises(InputError) as caught:
        config.git_url(url, "--git-url")
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "url", ["https://git.example.com/a/b.git", "ssh://git@h:22/x", "http://h:8080/x?y=@z", "https://h/a@b"]
)
def test_git_addresses_that_flux_takes_are_taken(url: str) -> None:
    assert config.git_url(url, "--git-url") == url


# --- writing ------------------------------------------------------------------------------

LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=3).map(lambda parts: ".".join([*parts, "example"]))
TEXT = st.one_of(
    st.sampled_from(["yes", "0755", "1.10", "a: b", "${x}", "~", "é\n b"]), st.text(min_size=1, max_size=8)
)
VALUES = st.dictionaries(
    TEXT,
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-9, 10**9), TEXT),
        lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXT, inner, max_size=2)),
        max_leaves=4,
    ),
    max_size=3,
)
CHARTS = st.builds(
    ChartRef,
    st.one_of(st.just("builtin"), TEXT),
    st.sampled_from(["", "1.10", "1.0.0+x", "1e3"]),
    st.sampled_from(["", DIGEST]),
)
CERTIFICATES = st.builds(
    CertificateInput,
    st.sampled_from(config.CERTIFICATE_SOURCES),
    st.sampled_from(["", *certificates.KEY_TYPES]),
    st.one_of(st.none(), st.integers(1, 36500)),
).filter(lambda found: found != CertificateInput())  # one that says nothing is not written
FLUX = st.builds(
    FluxInput,
    source=HOSTS,
    url=st.sampled_from(["", "https://git.example.com/x.git", "ssh://git@h/x"]),
    branch=TEXT,
    interval=st.sampled_from(["1h", "30m", "1.5h"]),
    timeout=st.sampled_from(["15m", "5m"]),
    decryption_secret=st.one_of(st.just("sops-age"), HOSTS),
)
ENVIRONMENTS = st.builds(
    Environment,
    name=LABELS,
    hostname=HOSTS,
    alt_hostnames=st.lists(st.one_of(HOSTS, HOSTS.map("*.{}".format)), max_size=2).map(tuple),
    ingress_ip=st.one_of(st.just(""), st.ip_addresses().map(str).filter(lambda text: "%" not in text)),
    namespace=st.one_of(st.just(""), LABELS),
    cluster_domain=st.one_of(st.just("cluster.local"), HOSTS),
    size=st.sampled_from(["", *config.SIZES]),
    registry=st.one_of(st.just(""), HOSTS),
    certificates=st.dictionaries(st.one_of(st.sampled_from(["ingress", "db"]), HOSTS), CERTIFICATES, max_size=2),
    flux=FLUX,
    chart=st.one_of(st.none(), CHARTS),
    values=VALUES,
)
PROJECTS = st.builds(
    Project,
    chart=CHARTS,
    release=LABELS,
    namespace=LABELS,
    values=VALUES,
    checks=st.lists(
        st.builds(
            CheckOff,
            st.sampled_from(["KG101", "KG502"]),
            TEXT.map(str.strip).filter(bool),
            st.lists(LABELS, max_size=2).map(tuple),
        ),
        max_size=2,
    )
    .map(tuple)
    .map(Checks),
)


@given(ENVIRONMENTS)
@settings(deadline=None, max_examples=50)
def test_a_written_environment_reads_as_it_was_and_fits_its_schema(made: Environment) -> None:
    text = config.environment_text(made)
    assert config.parse_environment(text, made.name) == made
    assert not list(validator("environment").iter_errors(documents.load(text)))


@given(PROJECTS)
@settings(deadline=None, max_examples=80)
def test_a_written_project_reads_as_it_was_and_fits_its_schema(made: Project) -> None:
    text = config.project_text(made)
    assert config.parse_project(text) == made
    assert not list(validator("project").iter_errors(documents.load(text)))


def test_a_new_environment_says_only_what_is_not_a_default_and_points_to_its_schema() -> None:
    made = Environment("prod", "kasm.example.com", flux=FluxInput().replace(branch="x"))
    assert config.environment_text(made) == (
        "# yaml-language-server: $schema=https://kasmgen.dev/schemas/v1/environment.json\n"
        "# What the environment prod has of its own; written by people.\n"
        "# `kasmgen render` brings base/, overlays/ and clusters/ in line with it.\n"
        "apiVersion: kasmgen.dev/v1\nkind: Environment\nhostname: kasm.example.com\nflux:\n  branch: x\n"
    )


# --- the published schemas -------------------------------------------------------------------


def validator(name: str) -> Draft202012Validator:
    text = resources.files("kasmgen").joinpath("schemas", f"{name}.schema.json").read_text()
    schema = json.loads(text)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"https://kasmgen.dev/schemas/v1/{name}.json"
    return Draft202012Validator(schema)


CORPUS = [
    "",
    "altHostnames: [a.example, '*.b.example']\ningressIP: ''\nsize: small\n",
    "altHostnames: a.example\n",
    "altHostnames: [1]\n",
    "altHostnames: ['a b']\n",
    "altHostnames: ['a.example:443']\n",
    "ingressIP: 2001:db8::5\n",
    "ingressIP: kasm.example\n",
    "namespace: prod\n",
    "namespace: Prod\n",
    "namespace: a.b\n",
    "namespace: 5\n",
    "namespace: '5'\n",
    "clusterDomain: corp.local.\n",
    "clusterDomain: .local\n",
    "size: tiny\n",
    "size: ''\n",
    "registry: a.b\n",
    "registry: a/b\n",
    "certificates: {ingress: {source: existing}, x.y: {keyType: ed25519, days: 1}, z: }\n",
    "certificates: {ingress: {source: acme}}\n",
    "certificates: {ingress: {keyType: rsa-1024}}\n",
    "certificates: {ingress: {days: 0}}\n",
    "certificates: {ingress: {days: 36501}}\n",
    "certificates: {ingress: {days: '5'}}\n",
    "certificates: {ingress: {days: true}}\n",
    "certificates: {ingress: {years: 1}}\n",
    "certificates: [ingress]\n",
    "flux: {url: 'https://h/x', branch: main, interval: 1h30m, timeout: 5m, source: a, decryptionSecret: b}\n",
    "flux: {url: 'https://me:pw@h/x'}\n",
    "flux: {url: 'ssh://git@h/x'}\n",
    "flux: {url: 'ssh://git:pw@h/x'}\n",
    "flux: {url: 'git@h:x'}\n",
    "flux: {interval: 1d}\n",
    "flux: {interval: 60}\n",
    "flux: {other: 1}\n",
    "flux: \n",
    "chart: {source: x, version: '1', digest: ''}\n",
    "chart: {version: 1.1}\n",
    f"chart: {{digest: '{DIGEST}'}}\n",
    "chart: {digest: 'sha256:abc'}\n",
    "chart: {name: x}\n",
    "values: {anything: [1, {}]}\n",
    "values: []\n",
    "unknown: 1\n",
]


@pytest.mark.parametrize("more", CORPUS)
def test_the_schema_of_an_environment_takes_what_the_parser_takes_and_nothing_else(more: str) -> None:
    text = ENVIRONMENT + more
    assert validator("environment").is_valid(documents.load(text)) == parses(text, "Environment")


@pytest.mark.parametrize(
    "text",
    [
        "kind: Environment\nhostname: a.example\n",
        "apiVersion: kasmgen.dev/v1\nkind: Environment\n",
        "apiVersion: kasmgen.dev/v1\nkind: Environment\nhostname: ''\n",
        "apiVersion: kasmgen.dev/v1\nkind: Environment\nhostname: '*.example'\n",
        "apiVersion: kasmgen.dev/v1\nkind: Environment\nhostname: Bücher.example.\n",
        "apiVersion: kasmgen.dev/v1\nkind: Environment\nhostname: 5\n",
        PROJECT,
    ],
)
def test_the_schema_of_an_environment_demands_what_the_parser_demands(text: str) -> None:
    assert validator("environment").is_valid(documents.load(text)) == parses(text, "Environment")


@pytest.mark.parametrize(
    "more",
    [
        "",
        "release: kasm\nnamespace: kasm\nchart: {source: x}\nvalues: {a: 1}\n",
        "release: " + "a" * 53,
        "release: " + "a" * 54,
        "release: a.b\n",
        "namespace: ''\nrelease:\n",
        "namespace: 5\n",
        "chart: builtin\n",
        "hostname: a.example\n",
        "checks: {'off': [{rule: KG502, reason: x, environments: [dev]}]}\n",
        "checks: {'off': [{rule: KG50, reason: x}]}\n",
        "checks: {'off': [{rule: KG502}]}\n",
        "checks: {'off': [{rule: KG502, reason: ' '}]}\n",
        "checks: {'off': [{rule: KG502, reason: x, environments: dev}]}\n",
        "checks: {'off': [{rule: KG502, reason: x, environments: [Dev]}]}\n",
        "checks: {'off': [5]}\n",
        "checks: {'off': }\nvalues:\nchart:\n",
    ],
)
def test_the_schema_of_a_project_takes_what_the_parser_takes_and_nothing_else(more: str) -> None:
    text = PROJECT + more
    assert validator("project").is_valid(documents.load(text)) == parses(text, "Project")


def parses(text: str, kind: str) -> bool:
    try:
        config.parse_environment(text, "prod") if kind == "Environment" else config.parse_project(text)
    except InputError:
        return False
    return True
