# shellcheck shell=sh
# Runs before each start of PostgreSQL, as its user, with the root of the volume mounted at $VOLUME.
#
# 1. Makes the data directory. PostgreSQL insists on owning it with mode 0700 or 0750; a sub-directory that the
#    kubelet makes for a mount belongs to root. One that exists already is mounted as it is.
# 2. Gives the database role the password of the Secret, so that a changed or newly generated password works with
#    data that exists. The server is not up yet: nobody sees a moment with the old one.
set -eu

data=$VOLUME/postgres

if ! mkdir -p "$data"; then
  echo "prepare: cannot create $data as uid $(id -u): the volume is not writable for group $(id -g)." >&2
  echo "prepare: its storage driver does not apply fsGroup; give the root of the volume to that uid." >&2
  exit 1
fi
if ! chmod 0700 "$data"; then
  echo "prepare: $data belongs to another user than uid $(id -u), and PostgreSQL would refuse it." >&2
  exit 1
fi

if [ ! -s "$data/PG_VERSION" ]; then
  echo "prepare: no database yet in $data; the server will make one"
  exit 0
fi

# Single-user mode reads statements from its input, where no process list shows them. With -j a statement ends at
# a semicolon followed by an empty line. Nothing may log the statement, least of all when it fails.
password=$(printf '%s' "$POSTGRES_PASSWORD" | sed "s/'/''/g")
role=$(printf '%s' "$POSTGRES_USER" | sed 's/"/""/g')
if printf 'ALTER ROLE "%s" WITH PASSWORD '\''%s'\'';\n\n' "$role" "$password" |
  postgres --single -j -D "$data" \
    -c config_file="$CONFIG/postgresql.conf" -c hba_file="$CONFIG/pg_hba.conf" \
    -c logging_collector=off -c log_destination=stderr -c log_min_messages=warning \
    -c log_statement=none -c log_min_duration_statement=-1 -c log_min_error_statement=panic \
    -c standard_conforming_strings=on postgres >/dev/null; then
  echo "prepare: role $POSTGRES_USER has the password of the Secret"
else
  # The server's own messages say more, and it may well start where this could not.
  echo "prepare: could not set the password of role $POSTGRES_USER; it keeps the one it has" >&2
fi
