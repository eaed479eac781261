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
Adds what kasmApp.defaults and the component have in extraEnv, extraVolumes and extraVolumeMounts to the chart's own
lists. Of two items with the same key the later one is kept, in the place of the first, because the API server refuses
or overwrites duplicates. Changes its argument and prints nothing.
Argument: dict "root" . "block" <the component's values> ["env" T] ["mounts" T] ["volumes" T], YAML lists as text
*/}}
{{- define "kasm.extras" -}}
{{- $defaults := .root.Values.kasmApp.defaults -}}
{{- $block := .block -}}
{{- if or .root.kasm.extras $block.extraEnv $block.extraVolumeMounts $block.extraVolumes -}}
{{- range list (list "env" "extraEnv" "name") (list "mounts" "extraVolumeMounts" "mountPath") (list "volumes" "extraVolumes" "name") -}}
{{- $field := first . -}}
{{- $key := last . -}}
{{- $extra := concat (get $defaults (index . 1) | default list) (get $block (index . 1) | default list) -}}
{{- if $extra -}}
{{- $order := list -}}
{{- $byKey := dict -}}
{{- range concat (get $ $field | default "[]" | fromYamlArray) $extra -}}
{{- $id := get . $key -}}
{{- if not (hasKey $byKey $id) -}}{{- $order = append $order $id -}}{{- end -}}
{{- $_ := set $byKey $id . -}}
{{- end -}}
{{- $merged := list -}}
{{- range $order -}}{{- $merged = append $merged (get $byKey .) -}}{{- end -}}
{{- $_ := set $ $field (toYaml $merged) -}}
{{- end -}}
{{- end -}}
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
