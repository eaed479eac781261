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

{{/*
One init container that waits until Redis answers with the password. The client reads it from the
environment, where no list of processes shows it.
Argument: the root context
*/}}
{{- define "kasm.waitForRedis" -}}
- name: redis-is-ready
  image: {{ include "kasm.image" (dict "block" .Values.helperImages.redis) | quote }}
  imagePullPolicy: {{ .Values.global.image.pullPolicy }}
  command: ["/bin/sh", "-ec"]
  args:
    - |
      until [ "$(timeout 10 redis-cli -h "$REDIS_HOST" -p 6379 ping)" = PONG ]; do
        echo "waiting for kasm-redis"
        sleep 5
      done
  env:
    {{- include "kasm.secretEnv" (dict "root" . "variable" "REDISCLI_AUTH" "key" "redis-password") | nindent 4 }}
    - name: REDIS_HOST
      value: kasm-redis
  {{- with include "kasm.containerSecurity" (dict "root" . "uid" 1000) }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- include "kasm.initResources" . | nindent 2 }}
{{- end -}}
