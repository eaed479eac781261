{{/*
Did the user give this certificate? "true" or "". Empty text and the placeholder of the upstream chart both
mean: make one.
Argument: a block of kasmCerts
*/}}
{{- define "kasm.certGiven" -}}
{{- $cert := .cert | default "" | trim -}}
{{- if and $cert (not (contains "SSL Cert here" $cert)) }}true{{ end -}}
{{- end -}}

{{/*
A whole TLS Secret: what the user gave, else what is in the cluster and still fits, else a new self-signed
certificate. It fits while its names and key type are the wanted ones and it is not due; a certificate that this
chart did not make always fits.
Argument: dict "root" . "cert" "db" ["services" <names of Services>] ["names" <more names>]; the first of all becomes
the common name
*/}}
{{- define "kasm.tlsSecret" -}}
{{- $path := printf "kasmCerts.%s" .cert -}}
{{- $cert := index .root.Values.kasmCerts .cert -}}
{{- $namespace := .root.kasm.namespace -}}
{{- $domain := .root.Values.global.clusterDomain -}}
{{- $type := "kubernetes.io/tls" -}}
{{- $marks := dict -}}
{{- $crt := "" -}}
{{- $key := "" -}}
{{- if include "kasm.certGiven" $cert -}}
  {{- if not (contains "-----BEGIN CERTIFICATE-----" $cert.cert) -}}
    {{- fail (printf "%s.cert is not a PEM certificate; leave it empty to have one made" $path) -}}
  {{- end -}}
  {{- if not (contains "PRIVATE KEY-----" ($cert.key | default "")) -}}
    {{- fail (printf "%s.cert is given, but %s.key is not a PEM private key; give both or neither" $path $path) -}}
  {{- end -}}
  {{- $crt = $cert.cert | b64enc -}}
  {{- $key = $cert.key | b64enc -}}
{{- else -}}
  {{- /* All names of the Services inside the cluster. */ -}}
  {{- $names := list -}}
  {{- range .services -}}
    {{- $long := print . "." $namespace -}}
    {{- $names = concat $names (list . $long (print $long ".svc") (print $long ".svc." $domain)) -}}
  {{- end -}}
  {{- $names = concat $names (.names | default list) $cert.dnsNames | uniq -}}
  {{- $for := concat (list $cert.keyType) $names $cert.ipAddresses | join "," -}}
  {{- $now := now | unixEpoch | int64 -}}
  {{- with lookup "v1" "Secret" $namespace $cert.name -}}
    {{- $data := .data | default dict -}}
    {{- $stored := .metadata.annotations | default dict -}}
    {{- $due := get $stored "kasm-single-zone/renew-after" -}}
    {{- /* The type of a Secret cannot be changed, and older charts wrote Opaque. */ -}}
    {{- $type = .type | default $type -}}
    {{- if and (get $data "tls.crt") (get $data "tls.key")
          (eq $for (get $stored "kasm-single-zone/certificate-for" | default $for))
          (or (not $due) (lt $now ($due | int64))) -}}
      {{- $crt = get $data "tls.crt" -}}
      {{- $key = get $data "tls.key" -}}
      {{- $marks = pick $stored "kasm-single-zone/certificate-for" "kasm-single-zone/renew-after" -}}
    {{- end -}}
  {{- end -}}
  {{- if not $crt -}}
    {{- $days := $cert.days | int64 -}}
    {{- /* A common name holds 64 characters; clients go by the names in the extension anyway. */ -}}
    {{- $cn := ternary (first $names) "kasm" (le (len (first $names)) 64) -}}
    {{- $made := dict -}}
    {{- if eq $cert.keyType "rsa" -}}
      {{- $made = genSelfSignedCert $cn $cert.ipAddresses $names (int $days) -}}
    {{- else -}}
      {{- $made = genSelfSignedCertWithKey $cn $cert.ipAddresses $names (int $days) (genPrivateKey "ecdsa") -}}
    {{- end -}}
    {{- $crt = $made.Cert | b64enc -}}
    {{- $key = $made.Key | b64enc -}}
    {{- /* Renewed by the first upgrade in the last 30 days, or in the last third of a short life. */ -}}
    {{- $renew := add $now (mul 86400 (sub $days (min 30 (div $days 3)))) -}}
    {{- $marks = dict "kasm-single-zone/certificate-for" $for "kasm-single-zone/renew-after" (toString $renew) -}}
  {{- end -}}
{{- end -}}
apiVersion: v1
kind: Secret
{{ template "kasm.metadata" (dict "root" .root "object" $cert.name "name" $cert.name "marks" $marks) }}
type: {{ $type }}
data:
  tls.crt: {{ $crt }}
  tls.key: {{ $key }}
{{- end -}}
