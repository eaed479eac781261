{{/*
Replica counts of the Deployments, as .kasm.replicas: what the values say (0 is a number like any other), else by
deployment size.
Argument: the root context.
*/}}
{{- define "kasm.replicas" -}}
{{- $all := .Values.kasmApp.servicesToDeploy -}}
{{- $replicas := dict "kasmRedis" 1 -}}
{{- range $component, $counts := dict
    "kasmProxy"       (list 2 2 4)
    "kasmApi"         (list 3 3 6)
    "kasmManager"     (list 2 2 4)
    "kasmGuac"        (list 1 2 3)
    "rdpGateway"      (list 1 1 3)
    "rdpHttpsGateway" (list 1 1 3)
    "kasmShare"       (list 1 2 3) -}}
{{- $own := (get $all $component).replicas -}}
{{- $count := index $counts $.kasm.size -}}
{{- if not (or (kindIs "invalid" $own) (eq "" (toString $own))) -}}
{{- $count = int $own -}}
{{- end -}}
{{- $_ := set $replicas $component $count -}}
{{- end -}}
{{- $_ := set .kasm "replicas" $replicas -}}
{{- end -}}

{{/*
The block "resources:" of a component: its own values as they are, else the preset of the deployment size. Ten spaces in.
Argument: dict "root" . "component" "db" "block" <the component's values>
*/}}
{{- define "kasm.resources" }}
          resources:
{{- if .block.resources }}
            {{- toYaml .block.resources | nindent 12 }}
{{- else }}
{{- /* For each size CPU request and limit, memory request and limit, limit of ephemeral storage; "-" is no limit. */ -}}
{{- $kasm := .root.kasm -}}
{{- if not (hasKey $kasm "presets") -}}
{{- $_ := set $kasm "presets" (dict
    "kasmProxy"       (list "100m 250m 64Mi 128Mi 1Gi"  "150m 500m 64Mi 192Mi 2Gi"   "150m 750m 64Mi 512Mi 5Gi")
    "db"              (list "500m 750m 128Mi 384Mi 2Gi" "512m 1.5 512Mi 2048Mi 2Gi"  "512m 4.0 2048Mi 8192Mi 2Gi")
    "kasmApi"         (list "150m 250m 64Mi 192Mi 2Gi"  "150m 500m 64Mi 384Mi 2Gi"   "300m 1.0 64Mi 512Mi 2Gi")
    "kasmManager"     (list "150m 350m 64Mi 192Mi 2Gi"  "150m 500m 64Mi 256Mi 2Gi"   "300m 1.0 64Mi 512Mi 2Gi")
    "kasmGuac"        (list "250m - 64Mi 256Mi 2Gi"     "500m - 64Mi 512Mi 2Gi"      "750m - 64Mi 768Mi 2Gi")
    "rdpGateway"      (list "100m 200m 64Mi 128Mi 2Gi"  "150m 300m 64Mi 256Mi 2Gi"   "150m 500m 64Mi 512Mi 2Gi")
    "rdpHttpsGateway" (list "100m 200m 64Mi 128Mi 2Gi"  "150m 300m 64Mi 256Mi 2Gi"   "150m 500m 64Mi 512Mi 2Gi")
    "kasmShare"       (list "100m 200m 64Mi 128Mi 2Gi"  "100m 300m 64Mi 256Mi 2Gi"   "200m 400m 64Mi 384Mi 2Gi")
    "kasmRedis"       (list "100m 200m 64Mi 128Mi 2Gi"  "100m 300m 64Mi 256Mi 2Gi"   "100m 500m 64Mi 512Mi 2Gi")) -}}
{{- end -}}
{{- $preset := index $kasm.presets .component $kasm.size | split " " }}
            requests:
              cpu: "{{ $preset._0 }}"
              memory: "{{ $preset._2 }}"
              ephemeral-storage: "50Mi"
            limits:
              {{- if ne $preset._1 "-" }}
              cpu: "{{ $preset._1 }}"
              {{- end }}
              memory: "{{ $preset._3 }}"
              ephemeral-storage: "{{ $preset._4 }}"
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
