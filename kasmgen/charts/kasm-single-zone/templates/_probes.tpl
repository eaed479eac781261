{{/*
Probe timings. A start may take five minutes before the kubelet gives up; only then do the steady probes count.
Argument of kasm.probe: dict "kind" "http"|"tcp"|"exec"|"startup"
*/}}
{{- define "kasm.probeTimings" -}}
{{- if eq .kind "startup" -}}
periodSeconds: 5
timeoutSeconds: 5
failureThreshold: 60
successThreshold: 1
{{- else -}}
initialDelaySeconds: {{ get (dict "http" 10 "tcp" 30 "exec" 20) .kind }}
periodSeconds: 30
timeoutSeconds: 10
failureThreshold: 3
successThreshold: 1
{{- end -}}
{{- end -}}

{{/*
A probe of a network port. With "path" it is an HTTP GET, without it a TCP connect.
Argument: dict "probe" "livenessProbe" "port" <name> ["path" P] ["scheme" "HTTPS"]
*/}}
{{- define "kasm.probe" -}}
{{ .probe }}:
{{- if .path }}
  httpGet:
    path: {{ .path }}
    port: {{ .port | quote }}
    scheme: {{ .scheme | default "HTTP" }}
{{- else }}
  tcpSocket:
    port: {{ .port | quote }}
{{- end }}
  {{- $kind := ternary "http" "tcp" (not (empty .path)) }}
  {{- include "kasm.probeTimings" (dict "kind" (ternary "startup" $kind (eq .probe "startupProbe"))) | nindent 2 }}
{{- end -}}

{{/*
A probe that runs a shell command.
Argument: dict "probe" "readinessProbe" "script" "..."
*/}}
{{- define "kasm.execProbe" -}}
{{ .probe }}:
  exec:
    command: ["/bin/sh", "-c", {{ .script | quote }}]
  {{- include "kasm.probeTimings" (dict "kind" (ternary "startup" "exec" (eq .probe "startupProbe"))) | nindent 2 }}
{{- end -}}
