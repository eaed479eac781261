{{/*
Replica count of a component: what the values say (0 is a number like any other), else by deployment size.
Argument: dict "root" . "component" "kasmApi"
*/}}
{{- define "kasm.replicas" -}}
{{- $own := (index .root.Values.kasmApp.servicesToDeploy .component).replicas -}}
{{- if not (has (toString $own) (list "" "<nil>")) -}}
{{- $own | int -}}
{{- else -}}
{{- $bySize := dict
    "kasmProxy"       "2 2 4"
    "kasmApi"         "3 3 6"
    "kasmManager"     "2 2 4"
    "kasmGuac"        "1 2 3"
    "rdpGateway"      "1 1 3"
    "rdpHttpsGateway" "1 1 3"
    "kasmShare"       "1 2 3"
    "kasmRedis"       "1 1 1"
    "db"              "1 1 1" -}}
{{- index (get $bySize .component | splitList " ") (include "kasm.sizeIndex" .root | int) -}}
{{- end -}}
{{- end -}}

{{/* 0, 1 or 2 for small, medium or large. Argument: the root context. */}}
{{- define "kasm.sizeIndex" -}}
{{- $size := .Values.kasmApp.deploymentSize -}}
{{- if eq $size "small" -}}
0
{{- else if eq $size "medium" -}}
1
{{- else if eq $size "large" -}}
2
{{- else -}}
{{- fail (printf "kasmApp.deploymentSize is %q; it must be small, medium or large" (toString $size)) -}}
{{- end -}}
{{- end -}}

{{/*
The block "resources:" of a component: its own values as they are, else the preset of the deployment size.
Argument: dict "root" . "component" "db" ["values" <the component's block>]
*/}}
{{- define "kasm.resources" -}}
{{- $block := .values | default (index .root.Values.kasmApp.servicesToDeploy .component) -}}
resources:
{{- if $block.resources }}
  {{- toYaml $block.resources | nindent 2 }}
{{- else }}
{{- /*
For each size CPU request and limit, memory request and limit, limit of ephemeral storage; "-" is no limit. A text
for each component, because making lists of all of them for each container is what takes the time.
*/ -}}
{{- $presets := dict
    "kasmProxy"       "100m 250m 64Mi 128Mi 1Gi   | 150m 500m 64Mi 192Mi 2Gi   | 150m 750m 64Mi 512Mi 5Gi"
    "db"              "500m 750m 128Mi 384Mi 2Gi  | 512m 1.5 512Mi 2048Mi 2Gi  | 512m 4.0 2048Mi 8192Mi 2Gi"
    "kasmApi"         "150m 250m 64Mi 192Mi 2Gi   | 150m 500m 64Mi 384Mi 2Gi   | 300m 1.0 64Mi 512Mi 2Gi"
    "kasmManager"     "150m 350m 64Mi 192Mi 2Gi   | 150m 500m 64Mi 256Mi 2Gi   | 300m 1.0 64Mi 512Mi 2Gi"
    "kasmGuac"        "250m - 64Mi 256Mi 2Gi      | 500m - 64Mi 512Mi 2Gi      | 750m - 64Mi 768Mi 2Gi"
    "rdpGateway"      "100m 200m 64Mi 128Mi 2Gi   | 150m 300m 64Mi 256Mi 2Gi   | 150m 500m 64Mi 512Mi 2Gi"
    "rdpHttpsGateway" "100m 200m 64Mi 128Mi 2Gi   | 150m 300m 64Mi 256Mi 2Gi   | 150m 500m 64Mi 512Mi 2Gi"
    "kasmShare"       "100m 200m 64Mi 128Mi 2Gi   | 100m 300m 64Mi 256Mi 2Gi   | 200m 400m 64Mi 384Mi 2Gi"
    "kasmRedis"       "100m 200m 64Mi 128Mi 2Gi   | 100m 300m 64Mi 256Mi 2Gi   | 100m 500m 64Mi 512Mi 2Gi" -}}
{{- $size := include "kasm.sizeIndex" .root | int -}}
{{- $preset := index (get $presets .component | splitList "|") $size | trim | splitList " " }}
  requests:
    cpu: {{ index $preset 0 | quote }}
    memory: {{ index $preset 2 | quote }}
    ephemeral-storage: "50Mi"
  limits:
    {{- if ne (index $preset 1) "-" }}
    cpu: {{ index $preset 1 | quote }}
    {{- end }}
    memory: {{ index $preset 3 | quote }}
    ephemeral-storage: {{ index $preset 4 | quote }}
{{- end }}
{{- end -}}

{{/*
The block "resources:" of containers that only wait or help. Argument: the root context.
*/}}
{{- define "kasm.initResources" -}}
resources:
{{- if .Values.kasmApp.defaults.initResources }}
  {{- toYaml .Values.kasmApp.defaults.initResources | nindent 2 }}
{{- else }}
  requests:
    cpu: "10m"
    memory: "32Mi"
    ephemeral-storage: "10Mi"
  limits:
    cpu: "200m"
    memory: "128Mi"
    ephemeral-storage: "100Mi"
{{- end }}
{{- end -}}
