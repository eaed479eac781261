#!/usr/bin/env bash
#
# Seeds the database of Kasm Workspaces, once. Ends with 0 only when the database is seeded.
#
# Whether it is seeded is decided in one place, state.sql, which the API's pods ask as well before they start. While
# the seeding runs, a row without an end in kasm_chart.seeding says "unfinished". A run that was cut off is made good
# by the next one: it moves what is there to a schema of another name (nothing is deleted) and starts afresh.
# A failing connection is never taken for an empty database.
#
# Secrets stay in the environment: no value is pasted into a command line, an expression or SQL.
set -Eeuo pipefail
umask 077

POSTGRES_HOST=${POSTGRES_HOST:-db}
POSTGRES_PORT=${POSTGRES_PORT:-5432}
POSTGRES_USER=${POSTGRES_USER:-kasmapp}
POSTGRES_DB=${POSTGRES_DB:-kasm}
ZONE_NAME=${ZONE_NAME:-default}
UPSTREAM_AUTH_ADDRESS=${UPSTREAM_AUTH_ADDRESS:-}
API_IMAGE=${API_IMAGE:-unknown}
KASM_DIRECTORY=${KASM_DIRECTORY:-/opt/kasm/current}
STATE_SQL=${STATE_SQL:-/etc/kasm-db-init/state.sql}
WAIT_SECONDS=${WAIT_SECONDS:-300}

seed_file=${TMPDIR:-/tmp}/default_properties.yaml

say() { printf 'db-init: %s\n' "$*"; }

die() {
  printf 'db-init: %s\n' "$*" >&2
  exit 1
}

trap 'printf "db-init: line %s failed with status %s\n" "$LINENO" "$?" >&2' ERR
trap 'rm -f -- "$seed_file"' EXIT

# An empty password or token would be seeded as such, and the application would be open to anybody.
for variable in POSTGRES_PASSWORD DEFAULT_ADMIN_PASSWORD DEFAULT_USER_PASSWORD DEFAULT_MANAGER_TOKEN \
  DEFAULT_REGISTRATION_TOKEN; do
  if [[ -z ${!variable:-} ]]; then
    die "$variable is empty: look at the Secret that the Job names"
  fi
done

# psql on a database; SQL comes from standard input or from the options that follow.
sql() {
  local database=$1
  shift
  PGPASSWORD=$POSTGRES_PASSWORD PGSSLMODE=require PGCONNECT_TIMEOUT=10 PGAPPNAME=db-init \
    psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 \
    --host "$POSTGRES_HOST" --port "$POSTGRES_PORT" --username "$POSTGRES_USER" --dbname "$database" "$@"
}

# The server may still be starting, or restart once. Whatever is wrong after that is said as the server says it.
wait_for_server() {
  local end=$((SECONDS + WAIT_SECONDS)) message last=
  until message=$(sql postgres --command 'SELECT 1' 2>&1); do
    if [[ $message != "$last" ]]; then
      say "cannot log in yet: $message"
      last=$message
    fi
    if ((SECONDS >= end)); then
      die "no login at $POSTGRES_HOST:$POSTGRES_PORT as $POSTGRES_USER for $WAIT_SECONDS s; nothing was changed"
    fi
    sleep 2
  done
}

# Two runs at a time (an upgrade during the first installation) would undo one another. The lock belongs to this
# connection and goes with it, however this script ends; keepalives let the server see the end of a dead node.
take_lock() {
  local answer=
  # Its errors come out of the same pipe: they are the answer then.
  coproc LOCK { sql postgres 2>&1; }
  # Bash forgets the variables of a coprocess that has ended.
  lock_in=${LOCK[1]} lock_out=${LOCK[0]}
  printf '%s\n' "SET tcp_keepalives_idle = 30;" "SET tcp_keepalives_interval = 10;" \
    "SET tcp_keepalives_count = 3;" "SELECT 'locked' FROM pg_advisory_lock(1801548653);" >&"$lock_in"
  if ! read -r -t 2 -u "$lock_out" answer; then
    say "another run holds the lock; waiting for it"
    read -r -u "$lock_out" answer || true
  fi
  [[ $answer == locked ]] || die "cannot take the lock: ${answer:-the connection is gone}"
}

# The image makes the database at its first start. If that start was cut off, it is not made up for.
ensure_database() {
  local known
  known=$(sql postgres --set database="$POSTGRES_DB" <<<"SELECT 1 FROM pg_database WHERE datname = :'database';")
  if [[ $known != 1 ]]; then
    say "database $POSTGRES_DB is missing; creating it"
    sql postgres --set database="$POSTGRES_DB" <<<'CREATE DATABASE :"database";'
  fi
}

state() { sql "$POSTGRES_DB" --file "$STATE_SQL"; }

# Writes the mark of a seeding under way and, where an earlier one left something, moves that out of the way: all
# of it or nothing.
begin_seeding() {
  local aside=false schema
  schema=unfinished_$(date -u +%Y%m%d_%H%M%S)_$$
  if [[ $1 == unfinished ]]; then
    aside=true
    say "an earlier seeding did not finish; moving what it left to schema $schema"
  fi
  sql "$POSTGRES_DB" --set aside=$aside --set schema="$schema" --set image="$API_IMAGE" <<'SQL'
BEGIN;
\if :aside
ALTER SCHEMA public RENAME TO :"schema";
CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO PUBLIC;
\endif
CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;
ALTER EXTENSION "uuid-ossp" SET SCHEMA public;
CREATE SCHEMA IF NOT EXISTS kasm_chart;
CREATE TABLE IF NOT EXISTS kasm_chart.seeding (
  started_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  image text NOT NULL
);
DELETE FROM kasm_chart.seeding WHERE finished_at IS NULL;
INSERT INTO kasm_chart.seeding (image) VALUES (:'image');
COMMIT;
SQL
}

uuid() { cat /proc/sys/kernel/random/uuid; }

# Hex SHA-256 of password and salt, as the application computes it.
password_hash() { printf '%s%s' "$1" "$2" | sha256sum | cut -c 1-64; }

# Sets one field of one entry of the seed file to the value of an environment variable, and reads it back: yq does
# nothing, and says nothing, where the entry does not exist.
set_field() {
  local list=$1 entry=$2 field=$3 variable=$4 count
  "$yq" -i "(.${list}[] | select(${entry}) | .${field}) = strenv(${variable})" "$seed_file"
  count=$("$yq" "[.${list}[] | select(${entry} and .${field} == strenv(${variable}))] | length" "$seed_file")
  [[ $count == 1 ]] || die "the image's seed file has ${count} entries in ${list} with ${entry}; expected one"
}

write_seed_file() {
  yq=yq_$(uname -m)
  cp -- "$KASM_DIRECTORY/conf/database/seed_data/default_properties.yaml" "$seed_file"
  chmod 0600 "$seed_file"

  ADMIN_SALT=$(uuid)
  USER_SALT=$(uuid)
  ADMIN_HASH=$(password_hash "$DEFAULT_ADMIN_PASSWORD" "$ADMIN_SALT")
  USER_HASH=$(password_hash "$DEFAULT_USER_PASSWORD" "$USER_SALT")
  export ADMIN_SALT USER_SALT ADMIN_HASH USER_HASH

  set_field settings '.name == "token" and .category == "manager"' value DEFAULT_MANAGER_TOKEN
  set_field settings '.name == "registration_token" and .category == "auth"' value DEFAULT_REGISTRATION_TOKEN
  set_field users '.username == "admin@kasm.local"' salt ADMIN_SALT
  set_field users '.username == "admin@kasm.local"' pw_hash ADMIN_HASH
  set_field users '.username == "user@kasm.local"' salt USER_SALT
  set_field users '.username == "user@kasm.local"' pw_hash USER_HASH
}

seed() {
  kasm_server.so --initialize-database --cfg "$KASM_DIRECTORY/conf/app/api.app.config.yaml" \
    --populate-production --seed-file "$seed_file" </dev/null
}

# The seed knows one zone, "default". Components that register in a zone of another name need it to be called so.
name_zone() {
  local count
  if [[ $ZONE_NAME != default ]]; then
    say "naming the zone $ZONE_NAME"
    sql "$POSTGRES_DB" --set zone="$ZONE_NAME" \
      <<<"UPDATE public.zones SET zone_name = :'zone' WHERE zone_name = 'default';"
    count=$(sql "$POSTGRES_DB" --set zone="$ZONE_NAME" \
      <<<"SELECT count(*) FROM public.zones WHERE zone_name = :'zone';")
    [[ $count == 1 ]] || die "$count zones are called $ZONE_NAME after the seeding; expected one"
  fi
  if [[ -n $UPSTREAM_AUTH_ADDRESS ]]; then
    say "setting the Upstream Auth address to $UPSTREAM_AUTH_ADDRESS"
    sql "$POSTGRES_DB" --set address="$UPSTREAM_AUTH_ADDRESS" \
      <<<"UPDATE public.zones SET upstream_auth_address = :'address';"
  fi
}

end_seeding() {
  # The program may end with 0 and have done nothing; without a zone the application does not work.
  [[ $(sql "$POSTGRES_DB" <<<'SELECT EXISTS (SELECT FROM public.zones);') == t ]] ||
    die "kasm_server.so ended without an error, but there is no zone"
  sql "$POSTGRES_DB" <<<'UPDATE kasm_chart.seeding SET finished_at = now() WHERE finished_at IS NULL;'
  [[ $(state) == seeded ]] || die "the database still does not count as seeded"
}

# A database that another version seeded works only after that version's own migration, which this is not.
report_seeded() {
  local image=
  if [[ $(sql "$POSTGRES_DB" <<<"SELECT to_regclass('kasm_chart.seeding') IS NOT NULL;") == t ]]; then
    image=$(sql "$POSTGRES_DB" <<<'SELECT image FROM kasm_chart.seeding ORDER BY finished_at DESC LIMIT 1;')
  fi
  say "the database is seeded already${image:+ (by $image)}; nothing to do"
  if [[ -n $image && $image != "$API_IMAGE" ]]; then
    say "NOTE: this is $API_IMAGE. If its version wants another database schema, back up the database and follow"
    say "NOTE: the upgrade instructions of Kasm Workspaces: this Job does not migrate data."
  fi
}

wait_for_server
take_lock
ensure_database
current=$(state)
case $current in
  seeded)
    report_seeded
    exit 0
    ;;
  empty | unfinished) ;;
  *) die "state.sql answered \"$current\"" ;;
esac
write_seed_file
begin_seeding "$current"
say "seeding database $POSTGRES_DB"
seed || die "kasm_server.so failed with status $?; the next run starts afresh"
name_zone
end_seeding
say "done"
