#!/bin/sh
# Writes for nginx, before it starts, what only the pod itself can tell:
#   resolver.conf          the DNS server of the cluster, from resolv.conf
#   <service>-<port>.conf  the addresses that a Service's name has now, for the keep-alive pool
# nginx reads neither resolv.conf, nor does it start when a name in an upstream block cannot be resolved. A name
# without an address leaves an empty file: nginx then asks for it with each request.
#
# usage: names.sh DIRECTORY RESOLV_CONF SERVICE:PORT[,PORT]...
# RESOLV_CONF "-" writes no resolver.conf, for a resolver that the values name.
set -eu
directory=$1
resolv_conf=$2
shift 2
mkdir -p "$directory"

# An IPv6 address needs brackets before a port.
host() {
    case $1 in
        *:*) echo "[$1]" ;;
        *) echo "$1" ;;
    esac
}

write_resolver() {
    servers=
    while read -r keyword address _ || [ -n "$keyword" ]; do
        [ "$keyword" = nameserver ] || continue
        # nginx knows no zone index, so a link-local address would keep it from starting.
        case $address in *%*) continue ;; esac
        servers="$servers $(host "$address")"
    done <"$resolv_conf"
    if [ -n "$servers" ]; then
        echo "resolver$servers valid=10s;" >"$directory/resolver.conf"
    else
        echo "no name server in $resolv_conf; name one in kasmProxy.resolver" >&2
    fi
}

write_service() {
    service=$(echo "$1" | cut -d: -f1)
    ports=$(echo "$1" | cut -d: -f2 | tr , ' ')
    addresses=$(getent hosts "$service" | awk '$1 ~ /^[0-9a-fA-F.:]+$/ { print $1 }' | sort -u) || addresses=
    [ -n "$addresses" ] || echo "$service has no address yet" >&2
    for port in $ports; do
        for address in $addresses; do
            echo "server $(host "$address"):$port;"
        done >"$directory/$service-$port.conf"
    done
}

[ "$resolv_conf" = - ] || write_resolver
# All at once: where the DNS server is down, each question takes its full time limit.
for backend in "$@"; do
    write_service "$backend" &
done
wait
