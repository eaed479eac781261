{{/*
Fields that every pod spec shares. What a component sets wins over kasmApp.defaults.
Argument: dict "root" . "block" <the component's values>
*/}}
{{- define "kasm.podCommon" -}}
{{- $block := .block -}}
{{- $defaults := .root.Values.kasmApp.defaults -}}
serviceAccountName: {{ .root.kasm.account | quote }}
{{- /* No component talks to the Kubernetes API. */}}
automountServiceAccountToken: false
{{- /* Service variables of the old Docker kind would end up in the applications' configuration. */}}
enableServiceLinks: false
{{- with .root.kasm.pullSecret }}
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
The same, worked out once for all pods that set nothing of their own.
Argument: as kasm.podCommon.
*/}}
{{- define "kasm.podFields" -}}
{{- $block := .block -}}
{{- if or $block.nodeSelector $block.tolerations $block.affinity $block.priorityClassName -}}
{{- template "kasm.podCommon" . -}}
{{- else -}}
{{- .root.kasm.podCommon -}}
{{- end -}}
{{- end -}}

{{/*
The blocks "env:", "volumeMounts:" and "volumes:" of a pod, or nothing: the chart's own, then those of
kasmApp.defaults and of the component.
Argument: dict "root" . "block" <the component's values> ["env" T] ["mounts" T] ["volumes" T], YAML lists as text
*/}}
{{- define "kasm.env" -}}
{{- $more := .root.Values.kasmApp.defaults.extraEnv -}}
{{- if or .block.extraEnv $more -}}
env:
  {{- include "kasm.mergedList" (dict "key" "name" "lists" (list .env $more .block.extraEnv)) | nindent 2 }}
{{- else if .env -}}
env:
  {{- .env | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "kasm.mounts" -}}
{{- $more := .root.Values.kasmApp.defaults.extraVolumeMounts -}}
{{- if or .block.extraVolumeMounts $more -}}
volumeMounts:
  {{- include "kasm.mergedList" (dict "key" "mountPath" "lists" (list .mounts $more .block.extraVolumeMounts)) | nindent 2 }}
{{- else if .mounts -}}
volumeMounts:
  {{- .mounts | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "kasm.volumes" -}}
{{- $more := .root.Values.kasmApp.defaults.extraVolumes -}}
{{- if or .block.extraVolumes $more -}}
volumes:
  {{- include "kasm.mergedList" (dict "key" "name" "lists" (list .volumes $more .block.extraVolumes)) | nindent 2 }}
{{- else if .volumes -}}
volumes:
  {{- .volumes | nindent 2 }}
{{- end -}}
{{- end -}}

{{/*
Three lists of objects as one. Of two with the same key the later one is kept, in the place of the first, because
the API server refuses or overwrites duplicates.
Argument: dict "key" "name" "lists" (list <YAML list as text> <list> <list>)
*/}}
{{- define "kasm.mergedList" -}}
{{- $key := .key -}}
{{- $order := list -}}
{{- $byKey := dict -}}
{{- $own := first .lists | default "[]" | fromYamlArray -}}
{{- range concat $own (index .lists 1 | default list) (last .lists | default list) -}}
{{- $id := get . $key -}}
{{- if not (hasKey $byKey $id) -}}{{- $order = append $order $id -}}{{- end -}}
{{- $_ := set $byKey $id . -}}
{{- end -}}
{{- $merged := list -}}
{{- range $order -}}{{- $merged = append $merged (get $byKey .) -}}{{- end -}}
{{- toYaml $merged -}}
{{- end -}}

{{/*
One env item that reads a key of the password Secret.
Argument: dict "root" . "variable" "POSTGRES_PASSWORD" "key" "db-password"
*/}}
{{- define "kasm.secretEnv" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ .root.kasm.secret | quote }}
      key: {{ .key }}
{{- end -}}

{{/*
"repository:tag", or "repository@sha256:..." when the tag is a digest, or the image as it is when it names a
digest itself or the tag is empty.
Argument: <map with image and tag>
*/}}
{{- define "kasm.image" -}}
{{- $tag := .tag | default "" | toString -}}
{{- .image -}}
{{- if and $tag (not (contains "@" .image)) -}}
{{- ternary "@" ":" (hasPrefix "sha256:" $tag) -}}{{- $tag -}}
{{- end -}}
{{- end -}}
