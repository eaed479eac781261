{{/*
One init container that waits until a service answers its health check with a 2xx status. Each try has its own
time limit, so that a connection that hangs is tried again.
Argument: dict "root" . "service" "kasm-api"
*/}}
{{- define "kasm.waitFor" -}}
{{- $checks := dict
    "kasm-api"     ":8080/api/__healthcheck"
    "kasm-manager" ":8181/__healthcheck"
    "kasm-share"   ":8182/__healthcheck"
    "kasm-guac"    ":3000/__healthcheck"
    "rdp-gateway"  ":5555/__healthcheck" -}}
{{- if not (hasKey $checks .service) -}}
{{- fail (printf "kasm.waitFor does not know the service %q" .service) -}}
{{- end -}}
- name: {{ .service }}-is-ready
  image: {{ include "kasm.image" (dict "block" .root.Values.helperImages.curl) | quote }}
  imagePullPolicy: {{ .root.Values.global.image.pullPolicy }}
  command: ["/bin/sh", "-ec"]
  args:
    - |
      until curl --fail --silent --show-error --output /dev/null --connect-timeout 3 --max-time 10 \
        "http://{{ .service }}{{ get $checks .service }}"; do
        echo "waiting for {{ .service }}"
        sleep 5
      done
  {{- with include "kasm.containerSecurity" (dict "root" .root "uid" 1000) }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- include "kasm.initResources" .root | nindent 2 }}
{{- end -}}
