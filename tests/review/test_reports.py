"""All formats: they tell the truth, fit, leak nothing, and cannot be broken out of."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from kasmgen.errors import InputError
from kasmgen.review import Report, compare_builds, group
from kasmgen.review.formats import html as formats_html
from kasmgen.review.formats import json as formats_json
from kasmgen.review.formats import markdown
from kasmgen.review.formats import text as formats_text
from kasmgen.review.formats.masked_text import Cleaner
from kasmgen.review.formats.view import view
from tests.effort import cpu_seconds_at_most
from tests.review.builds import Build, deployment, edited, pairs_of_builds, plain, sealed, statefulset
from tests.review.samples import HOSTILE, MAIN, diff, hostile_report, report

Render = Callable[[Report], str]
FORMATS: dict[str, Render] = {
    "text": formats_text.render,
    "text in colour": lambda r: formats_text.render(r, colour=True, full=True),
    "markdown": markdown.render,
    "json": formats_json.render,
    "html": formats_html.render,
}
every_format = pytest.mark.parametrize("render", FORMATS.values(), ids=FORMATS)


def schema() -> dict[str, object]:
    found: dict[str, object] = json.loads(resources.files("kasmgen.schemas").joinpath("diff.schema.json").read_text())
    return found


def only(*changes: tuple[object, ...]) -> Report:
    return group({"prod": tuple(change for part in changes for change in part)})  # type: ignore[misc]


# --- the truth -----------------------------------------------------------


@every_format
def test_every_format_is_deterministic(render: Render) -> None:
    assert render(report(4)) == render(report(4))


@every_format
def test_what_could_not_be_built_is_told_first_and_never_as_no_change(render: Render) -> None:
    broken = group({"a": ()}, failed={"prod": "missing file 'patches/x.yaml'"})
    told = render(broken)
    assert "could not be built" in told
    assert "missing file" in told
    assert "Nothing changes in" not in told


@every_format
def test_nothing_changed_is_said(render: Render) -> None:
    assert "Nothing changes in 2 environments." in render(group({"a": (), "b": ()}))


def test_noise_is_not_called_nothing() -> None:
    noise = diff([deployment()], [edited(deployment(), ("metadata.annotations", {"kasmgen.dev/x": "1"}))])
    assert "1 of 1 environment changes." in formats_text.render(only(noise))
    assert "Nothing changes" not in markdown.render(only(noise))


@settings(max_examples=40, deadline=None)
@given(pairs_of_builds())
def test_every_change_is_told_in_every_format(builds: tuple[Build, Build]) -> None:
    changes = compare_builds(*builds)
    one = group({"prod": changes})
    found = json.loads(formats_json.render(one))
    jsonschema.validate(found, schema())
    assert found["different"] is bool(changes)
    assert len(found["changes"]) == len(changes)
    for entry, change in zip(found["changes"], (e.change for e in one.entries), strict=True):
        told = [field for field in entry["fields"] if field.keys() & {"old", "new", "lines", "note"}]
        assert len(told) == len(entry["fields"])
        assert entry["fields"] or entry["folded"] or entry["lines"] or entry.get("secret"), change
        for field in told:
            assert field.get("old", "") != field.get("new", "") or field.get("note") or field.get("lines")
    for render in FORMATS.values():
        render(one).encode()


def test_the_golden_text() -> None:
    lines = formats_text.render(report(4)).splitlines()
    assert lines[0] == "1 environment could not be built; 6 of 7 environments change (5 errors, 18 warnings)."
    told = "\n".join(lines)
    for expected in (
        "~ StatefulSet db in kasm changed  [env-003]",
        "    error: immutable field: Kubernetes does not let spec.volumeClaimTemplates change: Flux will fail",
        "    ~ spec.volumeClaimTemplates[data].spec.resources.requests.storage: 20Gi → 10Gi",
        "    ↕ spec.template.spec.initContainers[wait-api]  (from place 2 to place 1)",
        "        -   worker_connections 1024;",
        "        +   worker_connections 4096;",
        "    db-password: changed",
        "    same: manager-token, redis-password",
        "    certificate now: kasm.example, vdi.example; valid 2026-01-01T00:00:00Z to 2027-12-31T00:00:00Z, "
        "issued by CN=kasm",
        "5 more changes of versions, order and own marks only",
    ):
        assert expected in told


def test_the_same_change_in_all_environments_is_told_once() -> None:
    everywhere = group(
        {f"e{i}": diff([deployment()], [edited(deployment(), ("spec.replicas", 5))]) for i in range(100)}
    )
    for render in FORMATS.values():
        assert render(everywhere).count("spec.replicas") == 1
    assert "[all 100 environments]" in formats_text.render(everywhere)


# --- large things --------------------------------------------------------


def config(content: str) -> Report:
    old = plain("ConfigMap", "big", data={"f": "\n".join(f"line {i}" for i in range(120_000))})
    return only(diff([old], [edited(old, ("data.f", content))]))


@every_format
@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("\n".join(f"line {i}" for i in range(119_999)) + "\nthe last line", "the last line"),
        ("\n".join(f"other {i}" for i in range(120_000)), "120,000 are gone and 120,000 are new"),
        ("\n".join(f"line {i}" for i in reversed(range(120_000))), "another order"),
        ("x" * 1_500_000, "xxx"),
    ],
    ids=["one line", "every line", "another order", "one long line"],
)
def test_more_than_a_megabyte_is_told_in_bounded_time(render: Render, content: str, told: str) -> None:
    with cpu_seconds_at_most(60):
        found = render(config(content))
    assert told in found
    assert len(found) < 200_000


@every_format
def test_a_difference_deep_in_a_long_value_is_shown(render: Render) -> None:
    old = plain("ConfigMap", "c", data={"k": "a" * 500_000 + "OLD" + "b" * 500_000})
    told = render(only(diff([old], [edited(old, ("data.k", "a" * 500_000 + "NEW" + "b" * 500_000))])))
    assert "OLD" in told
    assert "NEW" in told
    assert len(told) < 200_000


# --- Markdown ------------------------------------------------------------


@pytest.mark.parametrize("most", [2_000, 5_000, 20_000, 60_000])
@pytest.mark.parametrize("environments", [1, 100])
def test_markdown_stays_within_its_bytes_and_says_what_it_left_out(most: int, environments: int) -> None:
    told = markdown.render(report(environments), most)
    assert len(told.encode()) <= most
    assert told.startswith(f"{markdown.MARKER}\n## ")
    assert told.count("<details>") == told.count("</details>") == told.count("<summary>")
    assert told.count("```") % 2 == 0
    everything = markdown.render(report(environments), 10_000_000)
    assert ("Cut to fit" in told) is (len(told.encode()) < len(everything.encode()) - 700 or told != everything)


def test_markdown_within_huge_reports_is_bounded() -> None:
    name = "n" * 200
    per = {
        f"environment-with-a-long-name-{i:04}": diff(
            [edited(deployment(f"{name}{i}"), (f"{MAIN}.image", "a:1"))],
            [edited(deployment(f"{name}{i}"), (f"{MAIN}.image", f"a:{i}"), ("spec.selector.matchLabels.x", "y"))],
        )
        for i in range(300)
    }
    told = markdown.render(group(per, failed={f"f{i}": "x" * 10_000 for i in range(50)}))
    assert len(told.encode()) <= 60_000
    assert "could not be built" in told
    assert "Cut to fit" in told


def test_a_budget_without_room_for_a_summary_is_refused() -> None:
    with pytest.raises(InputError, match="--max-bytes 500"):
        markdown.render(report(1), 500)


# --- hostile content -----------------------------------------------------

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@every_format
def test_nothing_steers_a_terminal_or_hides(render: Render) -> None:
    told = render(hostile_report())
    told.encode()
    if render is FORMATS["text in colour"]:
        told = re.sub("\x1b\\[[0-9;]*m", "", told)
    assert not _UNSAFE.search(told)
    assert "\\x1b[2J" in told or "\\\\x1b[2J" in told or "\\x1b&#91;2J" in told, "it is shown, not dropped"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


def test_markdown_cannot_be_broken_out_of() -> None:
    page = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown.render(hostile_report(), 1_000_000))
    tags = _Tags()
    tags.feed(page)
    ours = {"details", "summary", "code", "pre", "p", "ul", "li", "strong", "em", "b", "h2", "h3",
            "table", "thead", "tbody", "tr", "th", "td"}  # fmt: skip
    assert {tag for tag, _ in tags.found} <= ours
    assert {name for _, attributes in tags.found for name, _ in attributes} <= {"class", "style"}
    assert page.count("<details>") == page.count("</details>")
    assert [tag for tag, _ in tags.found].count("h2") == 1


def test_markdown_mentions_nobody_and_links_to_nothing() -> None:
    source = markdown.render(hostile_report(), 1_000_000)
    source = re.sub(r"^(`{3,})diff\n.*?^\1$", "", source, flags=re.S | re.M)
    source = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)|<code>.*?</code>", "", source)
    assert "everyone" in source, "the texts do stand outside of code"
    assert not re.search(r"@\w|(?<!&)#\d", source)
    # In HTML, addresses are no links unless they are written as such.
    assert not re.search(r"www\.|https?://", re.sub("<summary>.*?</summary>", "", source))


def test_html_holds_data_only_as_data() -> None:
    page = formats_html.render(hostile_report())
    tags = _Tags()
    tags.feed(page)
    assert [tag for tag, _ in tags.found].count("script") == 2
    assert {tag for tag, _ in tags.found}.isdisjoint({"img", "svg", "iframe", "object", "link", "base"})
    assert not [name for _, attributes in tags.found for name, _ in attributes if name.startswith("on")]
    data = page.split('id="report">')[1].split("</script>")[0]
    assert not set("<>&") & set(data)
    assert json.loads(data)["changes"]
    policy = page.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_html_needs_nothing_from_elsewhere() -> None:
    shell = re.sub(r'id="report">.*?</script>', "", formats_html.render(report(2)), flags=re.S)
    assert not re.search(r"https?:|//\w|@import|url\(|src=", shell)


# --- secrets -------------------------------------------------------------

MARKERS = (
    "marker-password-Zx81",
    "marker\nof two lines which are-long-enough\nto be found",
    'mark"er\\quoted',
    "8675309421",
)


def secrets_everywhere() -> Report:
    """Values of clear Secrets, and the same values wherever else they could stand."""
    per = {}
    for number, marker in enumerate(MARKERS):
        encoded = base64.b64encode(marker.encode()).decode()
        secret = plain("Secret", "clear", data={"a": encoded}, stringData={"b": marker}, type="Opaque")
        leaks = {
            "url": f"postgres://u:{marker}@db",
            "yaml": f"password:\n  deep: {marker}\n",
            "indented": "".join(f"    {line}\n" for line in marker.splitlines()),
            "base64": encoded,
            "json": json.dumps({"p": marker}),
            f"key-{marker}": "x",
            "long": "p" * 1000 + marker + "q" * 1000,
        }
        old = [
            secret,
            plain("ConfigMap", "leaks", data=dict.fromkeys(leaks, "before")),
            edited(deployment(), (f"{MAIN}.image", f"old:{marker}")),
            edited(plain("Service", f"s-{marker}"), ("metadata.labels", {"was": marker})),
            plain("Secret", "gone", stringData={"x": marker}),
            plain("Role", "r", "rbac.authorization.k8s.io/v1", rules=[]),
            plain("Thing", "port", "example.com/v1", spec={"n": 1}),
        ]
        rule = {"apiGroups": [""], "resources": [marker], "verbs": ["get"]}
        new = [
            edited(secret, ("stringData.b", marker + "-rotated")),
            plain("ConfigMap", "leaks", data=leaks),
            edited(deployment(), (f"{MAIN}.image", f"new:{marker}"), (f"{MAIN}.env.0.value", marker)),
            plain("Service", f"s-{marker}", spec={"type": "NodePort", "externalIPs": [marker]}),
            plain("Secret", "come", stringData={"x": marker}),
            plain("Role", "r", "rbac.authorization.k8s.io/v1", rules=[rule]),
            plain("Thing", "port", "example.com/v1", spec={"n": int(marker) if marker.isdigit() else 2}),
            {**sealed("half", {"k": "AAAA"}), "stringData": {"left": marker}},
        ]
        per[f"env-{number}"] = diff(old, new)
    return group(per, failed={"broken": f"error: cannot read {MARKERS[0]} of line {MARKERS[2]}"})


@every_format
def test_no_value_of_a_secret_is_in_any_output(render: Render) -> None:
    told = render(secrets_everywhere())
    assert "leaks" in told, "the report is not empty"
    for marker in MARKERS:
        for part in {marker, *(line for line in marker.splitlines() if len(line) >= 16)}:
            for form in (part, json.dumps(part)[1:-1], base64.b64encode(part.encode()).decode()):
                assert form not in told
    assert "ENC[AES256" not in told


def test_values_are_masked_in_environments_that_do_not_have_the_secret() -> None:
    leak = plain("ConfigMap", "c", data={"k": "x"})
    told = formats_text.render(
        group(
            {"b": diff([leak], [edited(leak, ("data.k", "known-elsewhere"))])},
            known=["known-elsewhere"],
        )
    )
    assert "known-elsewhere" not in told
    assert "(hidden)" in told


def test_a_change_between_two_hidden_values_is_still_a_change() -> None:
    secrets = [plain("Secret", "s", stringData={"a": "first-value", "b": "second-value"})]
    leak = plain("ConfigMap", "c", data={"k": "first-value"})
    told = formats_text.render(only(diff([*secrets, leak], [*secrets, edited(leak, ("data.k", "second-value"))])))
    assert "data.k  (only hidden values differ)" in told


def test_json_follows_its_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    for one in (report(8), hostile_report(), secrets_everywhere(), group({})):
        jsonschema.validate(json.loads(formats_json.render(one)), schema())


def test_hostile_texts_do_reach_the_reports() -> None:
    assert len(HOSTILE) == len([e for e in view(hostile_report()).environments if e.state == "changed"])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((text, text) for text in ("1h", "10m", "5m0s", "2026-01-01", "12:30", "registry.example/x:1", "a b")),
        *((text, f'"{text}"') for text in ("1.0", "0755", "yes", "null", "1e3", "", " a", "{}", "a: b", "a #b")),
        *((value, text) for value, text in ((1, "1"), (True, "true"), (1.5, "1.5"), ([], "[]"), (None, "null"))),
        ('"1.0"', '"\\"1.0\\""'),
    ],
)
def test_quotes_tell_text_from_what_else_it_could_be_and_nothing_more(value: Any, shown: str) -> None:
    assert Cleaner(()).value(value) == shown + "\n"


def gone(count: int = 1) -> Report:
    """Environments that are removed as a whole, with a database that Flux keeps and one that it deletes."""
    kept = {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/prune": "disabled"}}}
    database = statefulset("db")
    database["metadata"] = {**database["metadata"], **kept["metadata"]}
    objects = [
        deployment("web"),
        plain("Service", "front"),
        plain("Service", "back"),
        plain("Namespace", "kasm", namespace="", **kept),
        plain("PersistentVolumeClaim", "files"),
        database,
    ]
    names = [f"old-{i}" for i in range(count)]
    return group({**{name: diff(objects, []) for name in names}, "stays": ()}, removed=names)


@pytest.mark.parametrize("render", [formats_text.render, markdown.render])
def test_all_that_goes_with_an_environment_is_told_by_name(render: Render) -> None:
    report = render(gone())
    assert "1 error, 5 warnings" in report
    for name in ("web", "front", "back", "kasm", "files", "db"):
        assert re.search(rf"\b{name}\b", report)
    assert "nothing looks after it any more" in report
    assert "the storage with it" in report
    fates = [line for line in report.splitlines() if "Flux deletes them" in line or "Flux leaves them" in line]
    assert len(fates) == (2 if render is formats_text.render else 4)
    assert report.index("the storage with it") < report.index("Flux deletes them")


def test_many_environments_that_go_leave_room_for_the_rest() -> None:
    changes = {
        f"e{i}": diff([plain("Service", f"service-{'x' * 60}-{i}-{j}") for j in range(40)], []) for i in range(200)
    }
    report = markdown.render(group(changes, removed=list(changes)))
    assert "### Risks" in report
    assert "190 more risks of environments that go" in report
    assert "Cut to fit" in report
    assert len(report.encode()) <= markdown.MAX_BYTES
