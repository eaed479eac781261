{{/*
Labels of an object (never of a pod template). Pass "name" for app.kubernetes.io/name, or "app" for
kasm_app, which ConfigMaps carry in its place. The chart's own win over global.labels.
Argument: dict "root" . "name" "kasm-api"   or   dict "root" . "app" "kasm-proxy"
*/}}
{{- define "kasm.labels" -}}
{{- $root := .root -}}
{{- $own := dict
    "app.kubernetes.io/instance" $root.Release.Name
    "app.kubernetes.io/managed-by" $root.Release.Service
    "app.kubernetes.io/version" $root.Chart.AppVersion
    "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
    "kasm-version" $root.Chart.AppVersion
    "release" $root.Release.Name -}}
{{- with .name -}}{{- $_ := set $own "app.kubernetes.io/name" . -}}{{- end -}}
{{- with .app -}}{{- $_ := set $own "kasm_app" . -}}{{- end -}}
{{- merge $own $root.Values.global.labels | toYaml -}}
{{- end -}}

{{/*
The block "annotations:" of an object, or nothing. The object's own win over the global ones.
Argument: dict "root" . ["annotations" <map>]
*/}}
{{- define "kasm.annotations" -}}
{{- with merge (dict) (.annotations | default dict) .root.Values.global.annotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
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
Argument: dict "root" . "name" "kasm-api" ["role" "share"] ["component" "kasmApi"]
*/}}
{{- define "kasm.podLabels" -}}
{{- $own := dict
    "app.kubernetes.io/name" .name
    "app.kubernetes.io/instance" .root.Release.Name
    "release" .root.Release.Name -}}
{{- with .role -}}{{- $_ := set $own "kasm_role" . -}}{{- end -}}
{{- $users := dict -}}
{{- if .component -}}{{- $users = (include "kasm.block" . | fromJson).podLabels | default dict -}}{{- end -}}
{{- merge $own $users .root.Values.kasmApp.defaults.podLabels | toYaml -}}
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
  {{- $own := dict -}}
  {{- range .checksums | default list -}}
  {{- $own = merge $own (fromYaml .) -}}
  {{- end -}}
  {{- $users := (include "kasm.block" . | fromJson).podAnnotations | default dict -}}
  {{- with merge $own $users .root.Values.kasmApp.defaults.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
