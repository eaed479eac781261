{{/*
Labels of an object (never of a pod template). Pass "name" for app.kubernetes.io/name, or "app" for
kasm_app, which ConfigMaps carry in its place. The chart's own win over global.labels.
Argument: dict "root" . "name" "kasm-api"   or   dict "root" . "app" "kasm-proxy"
*/}}
{{- define "kasm.labels" -}}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
{{- with .name }}
app.kubernetes.io/name: {{ . | quote }}
{{- end }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
kasm-version: {{ .root.Chart.AppVersion | quote }}
{{- with .app }}
kasm_app: {{ . | quote }}
{{- end }}
release: {{ .root.Release.Name | quote }}
{{- with .root.Values.global.labels }}
{{- range $key, $value := omit . "app.kubernetes.io/instance" "app.kubernetes.io/managed-by" "app.kubernetes.io/name"
    "app.kubernetes.io/version" "helm.sh/chart" "kasm-version" "kasm_app" "release" }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The block "annotations:" of an object, or nothing. The object's own win over the global ones.
Argument: dict "root" . ["annotations" <map>]
*/}}
{{- define "kasm.annotations" -}}
{{- $own := .annotations | default dict -}}
{{- $global := .root.Values.global.annotations -}}
{{- if or $own $global -}}
annotations:
  {{- toYaml (merge (dict) $own $global) | nindent 2 }}
{{- end -}}
{{- end -}}

{{/*
The whole block "metadata:" of an object.
Argument: dict "root" . "object" "<metadata.name>" and "name" or "app" as in kasm.labels ["annotations" <map>]
*/}}
{{- define "kasm.metadata" -}}
metadata:
  name: {{ .object | quote }}
  namespace: {{ include "kasm.namespace" .root | quote }}
  labels:
    {{- include "kasm.labels" . | nindent 4 }}
  {{- with include "kasm.annotations" . }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The one label that selectors use. Argument: dict "name" "kasm-api" */}}
{{- define "kasm.selector" -}}
app.kubernetes.io/name: {{ .name | quote }}
{{- end -}}

{{/*
Labels of a pod template: nothing in here changes with the chart's or the application's version, because a
changed pod template restarts the pods, the database among them.
Argument: dict "root" . "name" "kasm-api" "component" "kasmApi" ["role" "share"]
*/}}
{{- define "kasm.podLabels" -}}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/name: {{ .name | quote }}
{{- with .role }}
kasm_role: {{ . | quote }}
{{- end }}
release: {{ .root.Release.Name | quote }}
{{- $values := .root.Values -}}
{{- $block := ternary $values.job (get $values.kasmApp.servicesToDeploy .component) (eq .component "job") -}}
{{- if or $block.podLabels $values.kasmApp.defaults.podLabels }}
{{- $users := merge (dict) ($block.podLabels | default dict) $values.kasmApp.defaults.podLabels }}
{{- range $key, $value := omit $users "app.kubernetes.io/instance" "app.kubernetes.io/name" "kasm_role" "release" }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The block "metadata:" of a pod template. "checksums" is a list of texts from kasm.configChecksum and
kasm.secretChecksum; empty ones are left out.
Argument: dict "root" . "name" "kasm-api" "component" "kasmApi" ["role" R] ["checksums" <list>]
*/}}
{{- define "kasm.podMetadata" -}}
metadata:
  labels:
    {{- include "kasm.podLabels" . | nindent 4 }}
  {{- $values := .root.Values }}
  {{- $block := ternary $values.job (get $values.kasmApp.servicesToDeploy .component) (eq .component "job") }}
  {{- $checksums := .checksums | default list | compact }}
  {{- $users := dict }}
  {{- if or $block.podAnnotations $values.kasmApp.defaults.podAnnotations }}
  {{- $users = omit (merge (dict) ($block.podAnnotations | default dict) $values.kasmApp.defaults.podAnnotations)
      "checksum/config" "checksum/secrets" }}
  {{- end }}
  {{- if or $checksums $users }}
  annotations:
    {{- range $checksums }}
    {{ . }}
    {{- end }}
    {{- range $key, $value := $users }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
  {{- end }}
{{- end -}}
