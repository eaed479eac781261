{{/*
The component "job", here and below, is the Job that seeds the database.

Fields that every pod spec shares. What a component sets wins over kasmApp.defaults.
Argument: dict "root" . "component" "kasmApi", or the root context alone for the defaults.
*/}}
{{- define "kasm.podCommon" -}}
{{- $root := .root | default . -}}
{{- $values := $root.Values -}}
{{- $block := dict -}}
{{- if .component -}}
{{- $block = ternary $values.job (get $values.kasmApp.servicesToDeploy .component) (eq .component "job") -}}
{{- end -}}
{{- $defaults := $values.kasmApp.defaults -}}
serviceAccountName: {{ include "kasm.serviceAccount" $root | quote }}
{{- /* No component talks to the Kubernetes API. */}}
automountServiceAccountToken: false
{{- /* Service variables of the old Docker kind would end up in the applications' configuration. */}}
enableServiceLinks: false
{{- with include "kasm.pullSecret" $root }}
imagePullSecrets:
  - name: {{ . | quote }}
{{- end }}
{{- with $block.nodeSelector | default $defaults.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $block.tolerations | default $defaults.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $block.affinity | default $defaults.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $block.priorityClassName | default $defaults.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/*
"topologySpreadConstraints:" over zones and nodes, or nothing when switched off. They are wishes, so that a
cluster of one node still runs everything.
Argument: dict "root" . "name" "kasm-api"
*/}}
{{- define "kasm.spread" -}}
{{- if .root.Values.topologySpread.enabled -}}
topologySpreadConstraints:
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "kasm.selector" $ | nindent 8 }}
{{- end }}
{{- end -}}
{{- end -}}

{{/*
A list of objects (env, volumes, mounts) as YAML items: the chart's own, then those of kasmApp.defaults and of
the component. Of two with the same key the later one is kept, in the place of the first, because the
API server refuses or overwrites duplicates.
Argument: dict "root" . "component" C "field" "extraEnv" "key" "name" "own" <YAML list as text>
*/}}
{{- define "kasm.mergedList" -}}
{{- $values := .root.Values -}}
{{- $block := ternary $values.job (get $values.kasmApp.servicesToDeploy .component) (eq .component "job") -}}
{{- $default := get $values.kasmApp.defaults .field -}}
{{- $users := get $block .field -}}
{{- if or $default $users -}}
{{- $extra := concat ($default | default list) ($users | default list) -}}
{{- $key := .key -}}
{{- $order := list -}}
{{- $byKey := dict -}}
{{- range concat (.own | default "[]" | fromYamlArray) $extra -}}
{{- $id := index . $key -}}
{{- if not (hasKey $byKey $id) -}}{{- $order = append $order $id -}}{{- end -}}
{{- $_ := set $byKey $id . -}}
{{- end -}}
{{- $merged := list -}}
{{- range $order -}}{{- $merged = append $merged (index $byKey .) -}}{{- end -}}
{{- toYaml $merged -}}
{{- else -}}
{{- .own | default "" | trim -}}
{{- end -}}
{{- end -}}

{{/*
"env:" with the component's own variables ("own": YAML list as text) and the user's extraEnv, or nothing.
Argument: dict "root" . "component" "kasmApi" ["own" <text>]
*/}}
{{- define "kasm.env" -}}
{{- with include "kasm.mergedList" (dict "root" .root "component" .component "field" "extraEnv" "key" "name" "own" .own) -}}
env:
  {{- . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* "volumeMounts:" likewise, with extraVolumeMounts. */}}
{{- define "kasm.volumeMounts" -}}
{{- with include "kasm.mergedList" (dict "root" .root "component" .component "field" "extraVolumeMounts" "key" "mountPath" "own" .own) -}}
volumeMounts:
  {{- . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* "volumes:" likewise, with extraVolumes. */}}
{{- define "kasm.volumes" -}}
{{- with include "kasm.mergedList" (dict "root" .root "component" .component "field" "extraVolumes" "key" "name" "own" .own) -}}
volumes:
  {{- . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/*
One env item that reads a key of the password Secret.
Argument: dict "root" . "variable" "POSTGRES_PASSWORD" "key" "db-password"
*/}}
{{- define "kasm.secretEnv" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ include "kasm.passwordSecret" .root | quote }}
      key: {{ .key }}
{{- end -}}

{{/*
"repository:tag", or "repository@sha256:..." when the tag is a digest, or the image as it is when it names a
digest itself or the tag is empty.
Argument: dict "block" <map with image and tag>
*/}}
{{- define "kasm.image" -}}
{{- $image := .block.image -}}
{{- $tag := .block.tag | default "" | toString -}}
{{- if or (contains "@" $image) (not $tag) -}}
{{- $image -}}
{{- else if hasPrefix "sha256:" $tag -}}
{{- printf "%s@%s" $image $tag -}}
{{- else -}}
{{- printf "%s:%s" $image $tag -}}
{{- end -}}
{{- end -}}

{{/* Rolling updates never go below the wanted number and never start more than one pod beyond it. */}}
{{- define "kasm.rollingUpdate" -}}
strategy:
  type: RollingUpdate
  rollingUpdate:
    maxSurge: 1
    maxUnavailable: 0
{{- end -}}

{{/*
Grace period, and a pause before the stop signal: it takes a moment until the Service, the Ingress controller
and nginx no longer send new connections to a pod that is going away.
Argument of kasm.graceSeconds: dict "root" . "component" C "default" 30
*/}}
{{- define "kasm.graceSeconds" -}}
terminationGracePeriodSeconds: {{ (get .root.Values.kasmApp.servicesToDeploy .component).terminationGracePeriodSeconds | default .default | int }}
{{- end -}}

{{- define "kasm.preStop" -}}
lifecycle:
  preStop:
    exec:
      command: ["/bin/sh", "-c", "sleep 5"]
{{- end -}}
