#!/usr/bin/env bash
# One more environment by hand, as the documentation of Kasm, SOPS and Flux tell, step after step.
# by_hand.sh ENVIRONMENT HOSTNAME CHART, in a Git repository whose .sops.yaml has a rule for its secrets;
# PYTHON, SOPS and KUBECTL name the programs.
set -euo pipefail
environment=$1 hostname=$2 chart=$3 namespace=kasm
here=$(cd "$(dirname "$0")" && pwd)
overlay=overlays/$environment
keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT
mkdir -p "$overlay/secrets" "clusters/$environment"

# pair NAME BITS DAYS SUBJECT ALTERNATIVE-NAMES
pair() {
  openssl req -x509 -nodes -sha256 -newkey "rsa:$2" -days "$3" -subj "$4" -addext "subjectAltName=$5" \
    -keyout "$keys/$1.key" -out "$keys/$1.crt" 2>/dev/null
}
service() { echo "DNS:$1,DNS:$1.$namespace.svc,DNS:$1.$namespace.svc.cluster.local"; }
subject() { echo "/C=US/ST=VA/L=None/O=None/OU=DoFu/CN=$1/emailAddress=none@none.none"; }
pair kasm-ingress-cert 4096 365 "/C=US/O=KASM/CN=$hostname" "DNS:$hostname"
pair kasm-nginx-proxy-cert 2048 1825 "$(subject kasm-proxy)" "$(service kasm-proxy)"
pair kasm-rdpproxy-cert 2048 1825 "$(subject rdp-gateway)" "$(service rdp-gateway),$(service rdp-https-gateway)"
pair kasm-db-cert 2048 1825 "$(subject db)" "$(service db)"

# seal NAME TYPE, data as JSON on standard input
seal() {
  local file=$overlay/secrets/$1.sops.yaml data
  data=$(cat)
  printf '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"%s","namespace":"%s"},"type":"%s","data":%s}' \
    "$1" "$namespace" "$2" "$data" |
    "$SOPS" --config .sops.yaml encrypt --input-type json --output-type yaml --filename-override "$file" >"$file"
}
for name in kasm-ingress-cert kasm-nginx-proxy-cert kasm-rdpproxy-cert kasm-db-cert; do
  printf '{"tls.crt":"%s","tls.key":"%s"}' "$(base64 -w0 "$keys/$name.crt")" "$(base64 -w0 "$keys/$name.key")" |
    seal "$name" kubernetes.io/tls
done
password() { openssl rand -hex 13 | tr -d '\n' | base64 -w0; }
printf '{"admin-password":"%s","db-password":"%s","manager-token":"%s","redis-password":"%s","service-token":"%s","user-password":"%s"}' \
  "$(password)" "$(password)" "$(password)" "$(password)" "$(password)" "$(password)" |
  seal kasm-secrets Opaque

"$PYTHON" "$here/by_hand_render.py" "$chart" "$hostname" "$namespace" >"$overlay/kasm.yaml"
cat >"$overlay/namespace.yaml" <<END
apiVersion: v1
kind: Namespace
metadata:
  name: $namespace
END
cat >"$overlay/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - namespace.yaml
  - kasm.yaml
  - secrets/kasm-db-cert.sops.yaml
  - secrets/kasm-ingress-cert.sops.yaml
  - secrets/kasm-nginx-proxy-cert.sops.yaml
  - secrets/kasm-rdpproxy-cert.sops.yaml
  - secrets/kasm-secrets.sops.yaml
END
cat >"clusters/$environment/kasm.yaml" <<END
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: kasm-$environment
  namespace: flux-system
spec:
  interval: 1h
  path: ./$overlay
  prune: true
  sourceRef:
    kind: GitRepository
    name: flux-system
  decryption:
    provider: sops
    secretRef:
      name: sops-age
END
"$KUBECTL" kustomize "$overlay" >/dev/null
git add "$overlay" "clusters/$environment"
git commit --quiet --message "Add environment $environment"
