"""The seeding Job: its rendered script runs against a real PostgreSQL that runs the chart's configuration."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import helm_python
import pytest

from tests.builtin_chart.conftest import CHART, PLAIN, Object, Render, containers, find, merged, pod_specs, services
from tests.builtin_chart.postgres_harness import PASSWORD, Cluster, free_port, locales, workspace
from tests.builtin_chart.seeding_harness import SECRETS, Seeding, prepared, real_yq
from tests.builtin_chart.test_postgres import UGLY, database
from tests.needs import program
from tests.waiting import GUARD

pytestmark = pytest.mark.tool


@pytest.fixture(scope="module")
def cluster(render: Render) -> Iterator[Cluster]:
    with workspace() as base:
        found = Cluster(base / "server", base / "volume", database(render), locales(base))
        assert found.prepare().returncode == 0
        found.initialise()
        found.start()
        yield found
        found.close()


@pytest.fixture
def seeding(render: Render, cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Seeding]:
    """The Job of the values in the parameter, if there is one."""
    values: Object = getattr(request, "param", {})
    with prepared(cluster, render(merged(PLAIN, values)), yq=real_yq()) as found:
        yield found


def test_an_empty_database_is_seeded_with_what_the_secret_says(seeding: Seeding) -> None:
    assert seeding.state() == "empty"
    done = seeding.run()
    assert done.status == 0, done.output
    assert seeding.state() == "seeded"
    assert seeding.sql("SELECT category, name, value FROM settings ORDER BY 1, 2").splitlines() == [
        f"auth|registration_token|{SECRETS['DEFAULT_REGISTRATION_TOKEN']}",
        "auth|unrelated|keep",
        f"manager|token|{SECRETS['DEFAULT_MANAGER_TOKEN']}",
        "other|token|keep",
    ]
    assert seeding.logs_in("admin@kasm.local", SECRETS["DEFAULT_ADMIN_PASSWORD"])
    assert seeding.logs_in("user@kasm.local", SECRETS["DEFAULT_USER_PASSWORD"])
    assert seeding.sql("SELECT salt, pw_hash FROM users WHERE username = 'guest@kasm.local'") == "keep|keep"
    assert seeding.sql("SELECT count(DISTINCT salt) FROM users") == "3"
    # Neither more nor less than the seed file says.
    assert seeding.sql("SELECT zone_name, upstream_auth_address FROM zones") == "default|$request_host$"


def test_a_second_run_changes_nothing(seeding: Seeding) -> None:
    assert seeding.run().status == 0
    before = seeding.dump()
    again = seeding.run(DEFAULT_ADMIN_PASSWORD="another", ZONE_NAME="another")
    assert again.status == 0
    assert "seeded already" in again.output
    assert seeding.dump() == before
    assert seeding.seedings() == 1


@pytest.mark.parametrize(
    ("yq", "ugly"),
    [("real", "".join(UGLY)), ("real", "- blanks around "), ("stand-in", "".join(UGLY))],
    ids=["real-all", "real-blanks", "stand-in-all"],
)
def test_any_password_and_token_arrives_as_it_is(cluster: Cluster, render: Render, yq: str, ugly: str) -> None:
    found = real_yq() if yq == "real" else None
    if yq == "real" and not found:
        pytest.skip("mikefarah's yq is not installed")
    secrets = {name: f"{ugly}{number}{ugly}" for number, name in enumerate(SECRETS)}
    literal = ugly.replace("'", "''")
    with prepared(cluster, render(PLAIN), yq=found) as seeding:
        cluster.local("postgres", f"ALTER ROLE kasmapp PASSWORD '{literal}'")
        try:
            done = seeding.run(**secrets, POSTGRES_PASSWORD=ugly)
        finally:
            cluster.local("postgres", f"ALTER ROLE kasmapp PASSWORD '{PASSWORD}'")
        assert done.status == 0, done.output
        values = f"('{literal}2{literal}', '{literal}3{literal}')"
        tokens = seeding.sql(f"SELECT name FROM settings WHERE value IN {values} ORDER BY value")
        assert tokens.splitlines() == ["token", "registration_token"]
        assert seeding.logs_in("admin@kasm.local", secrets["DEFAULT_ADMIN_PASSWORD"])
        assert seeding.logs_in("user@kasm.local", secrets["DEFAULT_USER_PASSWORD"])


def test_no_secret_is_printed_or_given_to_a_program_as_an_argument(seeding: Seeding) -> None:
    outputs = [seeding.run(KASM_SERVER_MODE="fail").output, seeding.run().output, seeding.run().output]
    seen = "\n".join([*outputs, *seeding.called()])
    assert "kasm_server.so" in seeding.called()
    hashes = seeding.sql("SELECT pw_hash FROM users").splitlines()
    for secret in [*SECRETS.values(), seeding.environment["POSTGRES_PASSWORD"] + "\n", *hashes]:
        assert secret == "keep" or secret not in seen
    assert not (seeding.root / "tmp" / "default_properties.yaml").exists(), "the seed file holds the tokens"


# What was cut off


@pytest.mark.parametrize("mode", ["fail", "late-fail"])
def test_a_failed_seeding_fails_the_job_and_the_next_run_makes_it_good(seeding: Seeding, mode: str) -> None:
    failed = seeding.run(KASM_SERVER_MODE=mode)
    assert failed.status != 0
    assert "kasm_server.so failed with status 3" in failed.output
    # Rows in zones or not: the API must not start on this.
    assert seeding.state() == "unfinished"

    done = seeding.run()
    assert done.status == 0, done.output
    assert seeding.state() == "seeded"
    assert seeding.logs_in("admin@kasm.local", SECRETS["DEFAULT_ADMIN_PASSWORD"])
    # Moved out of the way, not deleted.
    (aside,) = seeding.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'unfinished%'").splitlines()
    assert aside in done.output
    assert seeding.sql(f"SELECT count(*) FROM {aside}.users") == "3"
    assert seeding.sql("SELECT count(*) FROM users") == "3"


def test_a_run_that_is_killed_is_made_good_by_the_next(seeding: Seeding) -> None:
    process = seeding.start(KASM_SERVER_MODE="hang")
    assert process.stdout
    for line in process.stdout:
        if "hanging" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert seeding.state() == "unfinished"
    done = seeding.run()
    assert done.status == 0, done.output
    assert seeding.state() == "seeded"


def test_a_database_that_another_chart_left_half_seeded_is_made_good(seeding: Seeding) -> None:
    # Its own test found `settings` and called that initialised, while the API waited for rows in `zones`.
    seeding.sql("CREATE TABLE settings AS SELECT 'theirs' AS name; CREATE TABLE zones (zone_id uuid, zone_name text)")
    assert seeding.state() == "unfinished"
    done = seeding.run()
    assert done.status == 0, done.output
    assert seeding.state() == "seeded"
    (aside,) = seeding.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'unfinished%'").splitlines()
    assert seeding.sql(f"SELECT name FROM {aside}.settings") == "theirs"


def test_a_database_that_another_chart_seeded_is_left_alone(seeding: Seeding) -> None:
    seeding.sql("CREATE TABLE zones (zone_id uuid, zone_name text); INSERT INTO zones (zone_name) VALUES ('theirs')")
    before = seeding.dump()
    assert seeding.run(ZONE_NAME="other").status == 0
    assert seeding.dump() == before
    assert seeding.seedings() == 0


def test_a_program_that_ends_well_and_did_nothing_is_a_failure(seeding: Seeding) -> None:
    done = seeding.run(KASM_SERVER_MODE="nothing")
    assert done.status != 0
    assert seeding.state() == "unfinished"


def test_two_runs_at_a_time_seed_once(seeding: Seeding) -> None:
    first, second = seeding.start(), seeding.start()
    outputs = [process.communicate(timeout=GUARD)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert seeding.seedings() == 1
    assert sum("seeded already" in output for output in outputs) == 1


def test_a_run_waits_for_another_that_holds_the_lock(seeding: Seeding) -> None:
    holder = seeding.start(KASM_SERVER_MODE="hang")
    assert holder.stdout
    for line in holder.stdout:
        if "hanging" in line:
            break
    other = seeding.start()
    assert other.stdout
    assert "another run holds the lock" in other.stdout.readline()
    os.killpg(holder.pid, signal.SIGKILL)
    output, _ = other.communicate(timeout=GUARD)
    assert other.returncode == 0, output
    assert seeding.state() == "seeded"


# What is not there


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"POSTGRES_PASSWORD": "wrong"}, "password authentication failed"),
        ({"POSTGRES_HOST": "db.invalid"}, "could not translate host name"),
        ({"POSTGRES_PORT": str(free_port())}, "Connection refused"),
        ({"POSTGRES_USER": "nobody"}, 'authentication failed for user "nobody"'),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_failing_connection_is_an_error_and_not_an_empty_database(
    seeding: Seeding, environment: dict[str, str], message: str
) -> None:
    done = seeding.run(**environment)
    assert done.status != 0
    assert message in done.output, "the server's own words"
    assert seeding.seedings() == 0
    assert seeding.state() == "empty"


def test_a_server_that_is_late_is_waited_for(seeding: Seeding) -> None:
    port = seeding.environment["POSTGRES_PORT"]
    late = free_port()
    process = seeding.start(POSTGRES_PORT=str(late), WAIT_SECONDS="600")
    assert process.stdout
    assert "cannot log in yet" in process.stdout.readline()
    relay = subprocess.Popen(
        [program("python3"), "-c", RELAY, str(late), port], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        output, _ = process.communicate(timeout=GUARD)
        assert process.returncode == 0, output
    finally:
        relay.kill()
        relay.wait()


RELAY = """
import socket, sys, threading
def pump(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    for pair in ((client, server), (server, client)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


def test_a_missing_database_is_made(seeding: Seeding) -> None:
    seeding.cluster.local("postgres", f"DROP DATABASE {seeding.database}")
    done = seeding.run()
    assert done.status == 0, done.output
    assert seeding.state() == "seeded"
    # In the application's database, not in the one that the script connects to first.
    extension = "SELECT count(*) FROM pg_extension WHERE extname = 'uuid-ossp'"
    assert (seeding.sql(extension), seeding.cluster.local("postgres", extension)) == ("1", "0")


@pytest.mark.parametrize("entry", ["manager", "admin@kasm.local"])
def test_a_seed_file_without_an_entry_stops_before_the_database_is_touched(seeding: Seeding, entry: str) -> None:
    text = seeding.image_seed.read_text()
    assert entry in text
    seeding.image_seed.write_text(text.replace(entry, "renamed"))
    done = seeding.run()
    assert done.status != 0
    assert "expected one" in done.output
    assert seeding.state() == "empty"
    assert seeding.seedings() == 0


def test_an_empty_secret_is_refused(seeding: Seeding) -> None:
    for variable in [*SECRETS, "POSTGRES_PASSWORD"]:
        done = seeding.run(**{variable: ""})
        assert done.status != 0
        assert f"{variable} is empty" in done.output
    assert seeding.state() == "empty"
    assert seeding.called() == []


# The zone


@pytest.mark.parametrize(
    ("seeding", "zone"),
    [
        ({"kasmApp": {"zoneName": "eu-west"}}, "eu-west|$request_host$"),
        ({"kasmApp": {"upstreamAuth": "auto"}}, "default|kasm-proxy.workspaces.svc.cluster.local"),
        (
            {"global": {"namespace": "desks", "clusterDomain": "c.test"}, "kasmApp": {"upstreamAuth": "auto"}},
            "default|kasm-proxy.desks.svc.c.test",
        ),
        (
            {"kasmApp": {"zoneName": "eu-west", "upstreamAuth": "kasm.example.com"}},
            "eu-west|kasm.example.com",
        ),
    ],
    ids=["name", "auto", "auto-elsewhere", "both"],
    indirect=["seeding"],
)
def test_zone_name_and_upstream_auth_address_are_seeded(seeding: Seeding, zone: str) -> None:
    done = seeding.run()
    assert done.status == 0, done.output
    assert seeding.sql("SELECT zone_name, upstream_auth_address FROM zones") == zone


def test_any_zone_name_is_only_ever_data(seeding: Seeding) -> None:
    zone = "it's; DROP TABLE zones; -- \\ $HOME"
    done = seeding.run(ZONE_NAME=zone, UPSTREAM_AUTH_ADDRESS=zone)
    assert done.status == 0, done.output
    assert seeding.sql("SELECT zone_name, upstream_auth_address FROM zones") == f"{zone}|{zone}"


def test_a_zone_that_cannot_be_named_fails_the_job(seeding: Seeding) -> None:
    seeding.image_seed.write_text(seeding.image_seed.read_text().replace("default", "first"))
    done = seeding.run(ZONE_NAME="eu-west")
    assert done.status != 0
    assert "0 zones are called eu-west" in done.output
    assert seeding.state() == "unfinished"


def test_another_image_than_the_one_that_seeded_is_pointed_out(seeding: Seeding) -> None:
    seeding.run()
    same, other = seeding.run(), seeding.run(API_IMAGE="kasmweb/api:1.17.0")
    assert (same.status, other.status) == (0, 0)
    assert "NOTE" not in same.output
    assert "by kasmweb/api:1.16.0" in other.output
    assert "does not migrate" in other.output


# The API's pods ask the same question


def test_the_api_waits_until_the_seeding_is_through(seeding: Seeding) -> None:
    template = pod_specs(seeding.objects)["Deployment/kasm-api-deployment"]
    (wait,) = [c for c in containers(template) if c["name"] == "db-is-ready"]
    literals = {e["name"]: e["value"] for e in wait["env"] if "value" in e}
    assert literals["STATE_SQL"].strip() == (seeding.root / "state.sql").read_text().strip()

    # The address and the pause are the only things that differ here.
    script = wait["args"][0]
    for old, new in (
        ("--host db", "--host 127.0.0.1"),
        ("--port 5432", f"--port {seeding.environment['POSTGRES_PORT']}"),
        ("--dbname kasm", f"--dbname {seeding.database}"),
        ("sleep 5", "sleep 0.2"),
    ):
        assert script.count(old) == 1
        script = script.replace(old, new)

    def waiting(**environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [program("bash"), *wait["command"][1:], script],
            env={**seeding.environment, **literals, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def first_words(**environment: str) -> str:
        process = waiting(**environment)
        assert process.stdout
        said = process.stdout.readline()
        process.kill()
        process.communicate()
        return said

    assert first_words() == "waiting for the database: empty\n"
    assert "password authentication failed" in first_words(POSTGRES_PASSWORD="wrong")
    # There is a row in zones by then.
    seeding.run(KASM_SERVER_MODE="late-fail")
    assert first_words() == "waiting for the database: unfinished\n"

    process = waiting()
    assert seeding.run().status == 0
    process.communicate(timeout=GUARD)
    assert process.returncode == 0


# The Job as an object


def job(render: Render, *values: Object, **options: str) -> Object:
    return find(render(merged(PLAIN, *values), **options), "Job")


def test_the_jobs_name_changes_with_its_template_and_only_then(render: Render, tmp_path: Path) -> None:
    plain = job(render)
    name = plain["metadata"]["name"]
    assert re.fullmatch(r"kasm-db-init-job-[0-9a-f]{8}", name)

    changes: list[Object] = [
        services(kasmApi={"tag": "1.16.1"}),
        {"kasmApp": {"zoneName": "eu-west"}},
        {"kasmApp": {"applyHardening": False}},
        {"job": {"backoffLimit": 3}},
        {"global": {"kasmPasswords": {"existingSecret": "others"}}},
    ]
    for change in changes:
        assert job(render, change)["metadata"]["name"] != name, change

    same: list[Object] = [
        {"global": {"labels": {"team": "desks"}, "annotations": {"note": "x"}}},
        {"kasmApp": {"deploymentSize": "large"}},
        services(db={"tag": "1.16.1"}),
    ]
    for change in same:
        found = job(render, change)
        assert (found["metadata"]["name"], found["spec"]) == (name, plain["spec"])

    # A new version of the chart alone must not run into the template of the Job that is there.
    copy = shutil.copytree(CHART, tmp_path / "chart")
    metadata = copy / "Chart.yaml"
    metadata.write_text(metadata.read_text().replace("version: 1.16.0", "version: 1.16.7"))
    newer = helm_python.Chart.load(copy)
    text = newer.render(merged(PLAIN), name="kasm", namespace="workspaces")[
        "kasm-single-zone/templates/db-init/job.yaml"
    ]
    assert "kasm-single-zone-1.16.7" in text
    assert f'name: "{name}"' in text
    # A new script is not in the template, and still has to run.
    script = copy / "files" / "db-init" / "startup.sh"
    script.write_text(script.read_text() + "# more\n")
    newer = helm_python.Chart.load(copy)
    text = newer.render(merged(PLAIN), name="kasm", namespace="workspaces")[
        "kasm-single-zone/templates/db-init/job.yaml"
    ]
    assert f'name: "{name}"' not in text


def test_the_job_is_no_hook_and_has_limits(render: Render) -> None:
    found = job(render, {"job": {"backoffLimit": 2, "activeDeadlineSeconds": 60}})
    assert not found["metadata"].get("annotations")
    assert found["spec"]["backoffLimit"] == 2
    assert found["spec"]["activeDeadlineSeconds"] == 60
    assert "ttlSecondsAfterFinished" not in found["spec"], "a reconciler would start it again and again"
    for container in containers(found["spec"]["template"]):
        assert container["resources"]["limits"]["memory"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_names_without_kasm_app_name_fall_back_everywhere(render: Render) -> None:
    assert job(render, {"kasmApp": {"name": ""}}) == job(render)


def test_script_and_job_land_in_the_same_namespace(render: Render) -> None:
    objects = render(merged(PLAIN, {"global": {"namespace": "desks"}, "kasmApp": {"name": "desk"}}))
    config = find(objects, "ConfigMap", "desk-db-init-startup")
    assert (config["metadata"]["namespace"], find(objects, "Job")["metadata"]["namespace"]) == ("desks", "desks")
