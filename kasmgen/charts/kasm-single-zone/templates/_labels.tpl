{{/*
Labels that every object has, two spaces in. The chart's own win over global.labels.
Argument: the root context.
*/}}
{{- define "kasm.objectLabels" }}
    app.kubernetes.io/instance: {{ .kasm.release }}
    app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
    app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
    helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
    kasm-version: {{ .Chart.AppVersion | quote }}
    release: {{ .kasm.release }}
    {{- with .Values.global.labels }}
    {{- range $key, $value := omit . "app.kubernetes.io/instance" "app.kubernetes.io/managed-by" "app.kubernetes.io/name"
        "app.kubernetes.io/version" "helm.sh/chart" "kasm-version" "kasm_app" "release" }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
    {{- end }}
{{- end -}}

{{/*
The whole block "metadata:" of an object, never of a pod template. Pass "name" for app.kubernetes.io/name, or "app"
for kasm_app, which ConfigMaps carry in its place. The object's own annotations win over the global ones, and the chart's
marks over both; these are plain texts, and toYaml alone would take as long as all the rest.
Argument: dict "root" . "object" "<metadata.name>" and "name" or "app" ["annotations" <map>] ["marks" <map>]
*/}}
{{- define "kasm.metadata" -}}
{{- $kasm := .root.kasm -}}
metadata:
  name: {{ .object | quote }}
  namespace: {{ $kasm.namespace | quote }}
  labels:
    {{- $kasm.labels }}
    {{- if .app }}
    kasm_app: {{ .app | quote }}
    {{- else }}
    app.kubernetes.io/name: {{ .name | quote }}
    {{- end }}
  {{- if or .annotations $kasm.annotated }}
  annotations:
    {{- toYaml (merge (dict) (.marks | default dict) (.annotations | default dict) .root.Values.global.annotations) | nindent 4 }}
  {{- else if .marks }}
  annotations:
    {{- range $key, $value := .marks }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
  {{- end }}
{{- end -}}

{{/*
The block "metadata:" of a pod template: nothing in here changes with the chart's or the application's version,
because a changed pod template restarts the pods, the database among them.
Argument: dict "root" . "block" <the component's values> ["name" <if not the component's>] ["role" R]
          ["config" <checksum of ConfigMaps>] and what kasm.secretChecksum takes
*/}}
{{- define "kasm.podMetadata" -}}
{{- $kasm := .root.kasm -}}
{{- $defaults := .root.Values.kasmApp.defaults -}}
{{- $block := .block -}}
{{- $users := or $kasm.labelled $block.podLabels $block.podAnnotations -}}
{{- $annotations := dict -}}
metadata:
  labels:
    app.kubernetes.io/instance: {{ $kasm.release }}
    app.kubernetes.io/name: {{ .name | default $block.name | quote }}
    {{- with .role }}
    kasm_role: {{ . | quote }}
    {{- end }}
    release: {{ $kasm.release }}
    {{- if $users }}
    {{- $annotations = omit (merge (dict) ($block.podAnnotations | default dict) $defaults.podAnnotations)
        "checksum/config" "checksum/secrets" }}
    {{- $labels := merge (dict) ($block.podLabels | default dict) $defaults.podLabels }}
    {{- range $key, $value := omit $labels "app.kubernetes.io/instance" "app.kubernetes.io/name" "kasm_role" "release" }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
    {{- end }}
  {{- $secrets := "" }}
  {{- if $kasm.given }}
  {{- $secrets = include "kasm.secretChecksum" . }}
  {{- end }}
  {{- if or .config $secrets $annotations }}
  annotations:
    {{- with .config }}
    checksum/config: {{ . }}
    {{- end }}
    {{- with $secrets }}
    checksum/secrets: {{ . | quote }}
    {{- end }}
    {{- range $key, $value := $annotations }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
  {{- end }}
{{- end -}}
