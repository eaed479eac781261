{{/*
One init container that waits until the API answers its health check with a 2xx status. Each try has its own time
limit, so that a connection that hangs is tried again.
Argument: the root context.
*/}}
{{- define "kasm.waitForApi" -}}
- name: kasm-api-is-ready
  image: "{{ template "kasm.image" .Values.helperImages.curl }}"
  imagePullPolicy: {{ .kasm.policy }}
  command: ["/bin/sh", "-ec"]
  args:
    - |
      until curl --fail --silent --show-error --output /dev/null --connect-timeout 3 --max-time 10 \
        "http://kasm-api:8080/api/__healthcheck"; do
        echo "waiting for kasm-api"
        sleep 5
      done
  {{- with .kasm.containerSecurity }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- .kasm.initResources | nindent 2 }}
{{- end -}}

{{/*
One init container that waits until Redis answers with the password. The client reads it from the
environment, where no list of processes shows it.
Argument: the root context
*/}}
{{- define "kasm.waitForRedis" -}}
- name: redis-is-ready
  image: "{{ template "kasm.image" .Values.helperImages.redis }}"
  imagePullPolicy: {{ .kasm.policy }}
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
  {{- with .kasm.containerSecurity }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- .kasm.initResources | nindent 2 }}
{{- end -}}
