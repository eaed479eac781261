"""The database: PostgreSQL itself runs the rendered configuration, scripts and probes."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import helm_python
import pytest

from tests import waiting
from tests.builtin_chart.conftest import CHART, PLAIN, Object, Render, find, merged, services
from tests.builtin_chart.postgres_harness import (
    PASSWORD,
    Cluster,
    give_away,
    locales,
    postgres_program,
    unprivileged,
    workspace,
)
from tests.some import some

pytestmark = pytest.mark.tool

UGLY = [
    "two words",
    "single ' and '' double \" quotes",
    "100 % %s %d %%",
    "back\\slash \\n \\' \\",
    "$HOME ${HOME} $(id) `id` $$",
    "; DROP ROLE kasmapp; --",
    "*?[a-z]~!#&|<>(){}",
    "umlaut ä and 漢字",
    "-c leading dash",
    " blanks around ",
]


def database(render: Render, *values: Object) -> dict[str, Object]:
    objects = render(merged(PLAIN, *values))
    return {
        "config": find(objects, "ConfigMap", "kasm-db-configmap"),
        "statefulset": find(objects, "StatefulSet", "kasm-db-statefulset"),
    }


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    with workspace() as path:
        yield path


@pytest.fixture(scope="module")
def locale(base: Path) -> dict[str, str]:
    return locales(base)


@pytest.fixture(scope="module")
def first(render: Render, base: Path, locale: dict[str, str]) -> Iterator[Cluster]:
    """A cluster that the chart's own script and the entrypoint's steps made, not running."""
    cluster = Cluster(base / "first", base / "volume", database(render), locale)
    assert "no database yet" in cluster.prepare().stdout
    cluster.initialise()
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(
    render: Render, first: Cluster, locale: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """That cluster's data with the render of the values in the parameter, if there is one."""
    values, key_type = getattr(request, "param", ({}, "rsa"))
    with workspace() as root:
        found = Cluster(root, first.volume, database(render, values), locale, key_type)
        yield found
        found.close()


@pytest.fixture
def expendable(render: Render, first: Cluster, locale: dict[str, str]) -> Iterator[Cluster]:
    """A cluster with a copy of the data, for tests that break something."""
    with workspace() as root:
        subprocess.run(["cp", "-a", str(first.volume), str(root)], check=True)
        found = Cluster(root, root / "volume", database(render), locale)
        yield found
        found.close()


# The configuration


@pytest.mark.parametrize("cluster", [({}, "rsa"), ({}, "ecdsa")], ids=["rsa", "ecdsa"], indirect=True)
def test_remote_clients_get_in_with_tls_and_the_password_only(cluster: Cluster) -> None:
    with cluster.running():
        encrypted = """SELECT ssl, client_addr FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                       WHERE pid = pg_backend_pid()"""
        assert cluster.psql(encrypted).stdout.strip() == "t|127.0.0.2"
        # Both supported versions find a cipher for this type of key.
        for version in ("TLSv1.2", "TLSv1.3"):
            cluster.environment |= {"PGSSLMINPROTOCOLVERSION": version, "PGSSLMAXPROTOCOLVERSION": version}
            used = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            assert cluster.psql(used).stdout.strip() == version

        plain = cluster.psql("SELECT 1", sslmode="disable", check=False)
        assert plain.returncode == 2
        assert "no encryption" in plain.stderr

        wrong = cluster.psql("SELECT 1", password="second", check=False)
        assert wrong.returncode == 2
        assert "password authentication failed" in wrong.stderr

        none = cluster.psql("SELECT 1", password=None, check=False)
        assert none.returncode == 2
        assert "no password supplied" in none.stderr


# Values as the server reports them, in its own units.
BY_SIZE = {
    "small": {"max_connections": "100", "shared_buffers": "96MB", "effective_cache_size": "256MB"},
    "medium": {"max_connections": "200", "shared_buffers": "512MB", "effective_cache_size": "1536MB"},
    "large": {"max_connections": "400", "shared_buffers": "2GB", "effective_cache_size": "6GB"},
}


@pytest.mark.parametrize(
    ("cluster", "size"),
    [(({"kasmApp": {"deploymentSize": size}}, "rsa"), size) for size in BY_SIZE],
    ids=BY_SIZE,
    indirect=["cluster"],
)
def test_settings_follow_the_size(cluster: Cluster, size: str) -> None:
    with cluster.running():
        assert {name: cluster.local("kasm", f"SHOW {name}") for name in BY_SIZE[size]} == BY_SIZE[size]


@pytest.mark.parametrize("size", BY_SIZE)
def test_buffers_leave_most_of_the_memory_limit_to_the_connections(render: Render, size: str) -> None:
    template = database(render, {"kasmApp": {"deploymentSize": size}})["statefulset"]["spec"]["template"]
    (server,) = template["spec"]["containers"]
    limit = int(server["resources"]["limits"]["memory"].removesuffix("Mi"))
    buffers = BY_SIZE[size]["shared_buffers"]
    megabytes = int(buffers[:-2]) * (1024 if buffers.endswith("GB") else 1)
    assert limit / 5 <= megabytes <= limit / 3


def test_log_settings_ask_for_nothing_that_a_container_lacks(first: Cluster) -> None:
    shown = {
        name: first.run("postgres", "-D", str(first.data), *first.options(), "-C", name).strip()
        for name in ("log_destination", "log_hostname", "huge_pages", "logging_collector", "log_file_mode")
    }
    assert shown == {
        "log_destination": "stderr",
        "log_hostname": "off",
        "huge_pages": "off",
        "logging_collector": "off",
        "log_file_mode": str(0o600),
    }


OWN: Object = {
    "max_connections": 57,
    "work_mem": "3MB",
    "autovacuum_vacuum_scale_factor": 0.05,
    "wal_writer_flush_after": 2000000,
    "jit": False,
    "log_line_prefix": 'it\'s 50%% \\ of "this" $HOME ',
    "kasm.note": "a = 'b' # no comment",
}


@pytest.mark.parametrize("cluster", [(services(db={"postgres": OWN}), "rsa")], indirect=True)
def test_settings_of_the_values_arrive_as_written(cluster: Cluster) -> None:
    with cluster.running():
        shown = {
            name: cluster.psql(f"SHOW {name}", host=str(cluster.sockets), port=cluster.port).stdout for name in OWN
        }
    shown = {name: value.removesuffix("\n") for name, value in shown.items()}
    assert shown == {
        **{name: str(value) for name, value in OWN.items()},
        "jit": "off",
        # The server counts in blocks of 8 kB and shows the largest unit that fits.
        "wal_writer_flush_after": "15625MB",
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ssl": False}, "db.postgres.ssl cannot be set"),
        ({"LISTEN_addresses": "127.0.0.1"}, "db.postgres.LISTEN_addresses cannot be set"),
        ({"work_mem = 1MB\nfsync": "off"}, "is not the name of a setting"),
        ({"work_mem": "1MB\nfsync = off"}, "db.postgres.work_mem must be one line"),
        ({"work_mem": ["1MB"]}, "db.postgres.work_mem must be one line"),
    ],
)
def test_settings_that_would_break_the_chart_are_refused_with_their_path(
    tmp_path: Path, settings: Object, message: str
) -> None:
    # Without the schema, which refuses some of these first and which people can switch off.
    copy = shutil.copytree(CHART, tmp_path / "chart", ignore=shutil.ignore_patterns("values.schema.json"))
    with pytest.raises(helm_python.HelmRenderError) as error:
        helm_python.Chart.load(copy).render(merged(PLAIN, services(db={"postgres": settings})), name="kasm")
    assert message in str(error.value)


# Data and logs


def test_logs_go_to_the_containers_output_and_no_file(cluster: Cluster) -> None:
    with cluster.running():
        cluster.local("kasm", "DO $$ BEGIN RAISE LOG 'a line to look for'; END $$")
    assert "a line to look for" in (cluster.root / "stderr").read_text()
    assert list(cluster.logs.iterdir()) == []
    assert not list(cluster.data.rglob("*.log"))


@pytest.mark.parametrize("cluster", [(services(db={"postgres": {"logging_collector": True}}), "rsa")], indirect=True)
def test_log_files_on_request_are_private_and_apart_from_the_data(cluster: Cluster) -> None:
    with cluster.running():
        cluster.local("kasm", "DO $$ BEGIN RAISE LOG 'a line to look for'; END $$")
    (log,) = cluster.logs.iterdir()
    assert "a line to look for" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    # One name for each day of the week, so that the files cannot become more than seven.
    assert re.fullmatch(r"postgresql-(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\.log", log.name)
    assert not list(cluster.data.rglob("*.log"))


def test_the_server_sees_its_data_and_nothing_else_of_the_volume(render: Render) -> None:
    template = database(render)["statefulset"]["spec"]["template"]
    (server,) = template["spec"]["containers"]
    mounts = server["volumeMounts"]
    assert [(m["mountPath"], m.get("subPath")) for m in mounts if m["name"] == "kasm-db-data"] == [
        ("/var/lib/postgresql/data", "postgres")
    ]
    writable = [(m["name"], m.get("subPath")) for m in mounts if not m.get("readOnly")]
    assert len(writable) == len(set(writable)), "two paths share one directory"
    assert {m["mountPath"] for m in mounts if m["name"] == "kasm-db-run"} == {
        "/tmp",
        "/var/run/postgresql",
        "/var/log/postgresql",
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_data_directory_is_private_from_the_first_start(render: Render, locale: dict[str, str]) -> None:
    with workspace() as root:
        cluster = Cluster(root, root / "volume", database(render), locale)
        # As the kubelet leaves the root of a volume: it is root's, and the group of fsGroup may write.
        if not os.geteuid():
            os.chown(cluster.volume, 0, cluster.config.stat().st_gid)
        cluster.volume.chmod(0o2775)
        done = cluster.prepare()
        assert done.returncode == 0, done.stderr
        assert mode(cluster.data) & 0o777 == 0o700
        cluster.initialise()
        with cluster.running():
            assert cluster.local("kasm", "SELECT count(*) FROM pg_extension WHERE extname = 'uuid-ossp'") == "1"
        cluster.close()


def test_world_writable_data_of_the_upstream_chart_is_closed_and_used(expendable: Cluster) -> None:
    with expendable.running():
        expendable.local("kasm", "CREATE TABLE kept AS SELECT 42 AS answer")
    for path in (expendable.data, *expendable.data.rglob("*")):
        path.chmod(0o777)
    assert expendable.prepare().returncode == 0
    assert mode(expendable.data) == 0o700
    with expendable.running():
        assert expendable.local("kasm", "SELECT answer FROM kept") == "42"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a directory of another user")
def test_volume_that_nobody_but_root_can_write_is_explained(expendable: Cluster) -> None:
    shutil.rmtree(expendable.data)
    os.chown(expendable.volume, 0, 0)
    expendable.volume.chmod(0o755)
    done = expendable.prepare()
    assert done.returncode == 1
    assert "does not apply fsGroup" in done.stderr

    expendable.data.mkdir()
    done = expendable.prepare()
    assert done.returncode == 1
    assert "belongs to another user" in done.stderr


# The password


def test_the_password_of_the_secret_is_the_one_that_works(expendable: Cluster) -> None:
    for old, password in zip([PASSWORD, *UGLY], UGLY, strict=False):
        done = expendable.prepare(password)
        assert done.returncode == 0
        assert password not in done.stdout + done.stderr
        assert "kasmapp has the password of the Secret" in done.stdout
        with expendable.running():
            assert expendable.psql("SELECT current_user", password=password).stdout == "kasmapp\n"
            assert expendable.psql("SELECT 1", password=old, check=False).returncode == 2


def test_a_new_password_after_a_crash_keeps_what_was_committed(expendable: Cluster) -> None:
    expendable.start()
    expendable.local("kasm", "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    expendable.kill()
    assert (expendable.data / "postmaster.pid").exists()
    done = expendable.prepare("second")
    assert "kasmapp has the password of the Secret" in done.stdout, done.stderr
    with expendable.running():
        assert expendable.psql("SELECT count(*) FROM kept", password="second").stdout == "1000\n"


def test_a_password_that_cannot_be_set_is_said_but_not_shown(expendable: Cluster) -> None:
    done = expendable.prepare("never-to-be-seen", user="no such role")
    assert done.returncode == 0
    assert 'role "no such role" does not exist' in done.stderr
    (expendable.data / "PG_VERSION").write_text("9.6\n")
    broken = expendable.prepare("never-to-be-seen")
    assert broken.returncode == 0, "the server itself shall say what is wrong with its data"
    assert "could not set the password" in broken.stderr
    assert "never-to-be-seen" not in done.stdout + done.stderr + broken.stdout + broken.stderr


# Probes and the end


def probe(cluster: Cluster, kind: str) -> int:
    (server,) = cluster.template["spec"]["containers"]
    command = [part.replace("5432", str(cluster.port)) for part in server[kind]["exec"]["command"]]
    environment = {**cluster.environment, "PGHOST": str(cluster.sockets), "PGPORT": str(cluster.port)}
    return subprocess.run(unprivileged(command), env=environment, capture_output=True, check=False).returncode


def test_probes_tell_serving_recovering_and_dead_apart(expendable: Cluster) -> None:
    kinds = ("startupProbe", "livenessProbe", "readinessProbe")
    dead = {kind: probe(expendable, kind) for kind in kinds}
    assert 0 not in some(dead.values()), "nothing runs, so nothing is alive"

    expendable.start()
    assert {kind: probe(expendable, kind) for kind in kinds} == dict.fromkeys(kinds, 0)
    expendable.stop()

    # A recovery that goes on and on: the server waits for log that never comes.
    (expendable.data / "recovery.signal").touch()
    give_away(expendable.data / "recovery.signal")
    expendable.start("-c", "restore_command=sleep 60", "-c", "hot_standby=off", ready=False)
    assert expendable.is_ready() == 1
    assert probe(expendable, "startupProbe") == 0
    assert probe(expendable, "livenessProbe") == 0, "a server in recovery must not be killed"
    assert probe(expendable, "readinessProbe") != 0


def test_the_database_being_set_up_is_not_ready(cluster: Cluster) -> None:
    # The image's entrypoint runs a server without network while it loads data.sql.
    with cluster.running("-c", "listen_addresses="):
        assert probe(cluster, "startupProbe") == 0
        assert probe(cluster, "readinessProbe") != 0


def test_stop_hook_ends_the_server_cleanly_though_clients_stay(cluster: Cluster) -> None:
    (server,) = cluster.template["spec"]["containers"]
    hook = [
        part.replace("/var/lib/postgresql/data", str(cluster.data))
        for part in server["lifecycle"]["preStop"]["exec"]["command"]
    ]
    cluster.start()
    client = subprocess.Popen(
        [postgres_program("psql"), "-X", "-h", str(cluster.sockets), "-p", str(cluster.port), "-U", "kasmapp", "kasm"],
        env=cluster.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql'"
    waiting.until(lambda: cluster.local("kasm", sessions) == "2", "the client and whoever asks about it")
    subprocess.run(unprivileged(hook), env=cluster.environment, check=True, capture_output=True)
    assert cluster.server
    assert cluster.server.wait(timeout=waiting.GUARD) == 0
    client.communicate()
    assert "Database cluster state:               shut down\n" in cluster.run("pg_controldata", str(cluster.data))
    assert cluster.template["spec"]["terminationGracePeriodSeconds"] > 110, "the hook's own limit"


# Objects


def test_a_headless_service_stands_beside_db(render: Render) -> None:
    objects = render(PLAIN)
    db, headless = find(objects, "Service", "db"), find(objects, "Service", "db-headless")
    assert find(objects, "StatefulSet")["spec"]["serviceName"] == "db-headless"
    assert headless["spec"]["clusterIP"] == "None"
    assert "clusterIP" not in db["spec"]
    assert db["spec"]["ports"] == headless["spec"]["ports"] == [{"name": "db-5432", "port": 5432, "protocol": "TCP"}]
    assert db["spec"]["selector"] == headless["spec"]["selector"] == {"app.kubernetes.io/name": "kasm-db"}


def test_the_claim_follows_the_values(render: Render) -> None:
    def claim(**values: str) -> Object:
        (found,) = database(render, services(db=values))["statefulset"]["spec"]["volumeClaimTemplates"]
        assert found["metadata"]["name"] == "kasm-db-data"
        spec: Object = found["spec"]
        return spec

    # No class at all means the cluster's default; an empty one would mean none.
    assert claim() == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Gi"}}}
    assert claim(storageSize="50Gi", storageClassName="fast") == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "50Gi"}},
    }


def test_retention_is_there_on_request_only(render: Render) -> None:
    policy = {"enabled": True, "whenDeleted": "Delete", "whenScaled": "Retain"}
    key = "persistentVolumeClaimRetentionPolicy"
    assert key not in database(render)["statefulset"]["spec"]
    spec = database(render, services(db={key: policy}))["statefulset"]["spec"]
    assert spec[key] == {"whenDeleted": "Delete", "whenScaled": "Retain"}


def test_configuration_is_found_whatever_the_names_are(render: Render) -> None:
    values = merged(PLAIN, services(db={"name": "pg"}), {"kasmApp": {"name": "desk"}})
    objects = render(values)
    spec = find(objects, "StatefulSet", "pg-statefulset")["spec"]["template"]["spec"]
    (volume,) = [v for v in spec["volumes"] if v["name"] == "kasm-db-configs"]
    assert find(objects, "ConfigMap", volume["configMap"]["name"])["data"].keys() == {
        "data.sql",
        "pg_hba.conf",
        "postgresql.conf",
    }


def test_a_changed_setting_restarts_the_database_and_a_changed_label_does_not(render: Render) -> None:
    def template(*values: Object) -> Object:
        found: Object = database(render, *values)["statefulset"]["spec"]["template"]
        return found

    assert template(services(db={"postgres": {"jit": False}})) != template()
    assert template({"global": {"labels": {"team": "desks"}}}) == template()


@pytest.mark.parametrize("hardening", [True, False])
def test_nothing_of_the_database_runs_as_root(render: Render, hardening: bool) -> None:
    template = database(render, {"kasmApp": {"applyHardening": hardening}})["statefulset"]["spec"]["template"]
    pod = template["spec"]["securityContext"]
    assert (pod["runAsUser"], pod["runAsGroup"], pod["fsGroup"]) == (70, 70, 70)
    for container in [*template["spec"]["initContainers"], *template["spec"]["containers"]]:
        own = container.get("securityContext", {})
        assert own.get("runAsUser", 70) == 70
        assert own.get("readOnlyRootFilesystem", False) is hardening
