{{/*
A Deployment up to the end of the fields that every pod spec shares; the template goes on with initContainers,
containers and volumes, six spaces in.
Argument: dict "root" . "component" "kasmApi" ["role" R] ["checksums" <list>] ["grace" 60] ["recreate" true]
*/}}
{{- define "kasm.deploymentHead" -}}
{{- $block := index .root.Values.kasmApp.servicesToDeploy .component -}}
{{- $named := dict "root" .root "component" .component "name" $block.name -}}
apiVersion: apps/v1
kind: Deployment
{{ include "kasm.metadata" (dict "root" .root "object" (printf "%s-deployment" $block.name) "name" $block.name) }}
spec:
  replicas: {{ include "kasm.replicas" . }}
  selector:
    matchLabels:
      {{- include "kasm.selector" $named | nindent 6 }}
  {{- if .recreate }}
  strategy:
    type: Recreate
  {{- else }}
  {{- include "kasm.rollingUpdate" . | nindent 2 }}
  {{- end }}
  template:
    {{- include "kasm.podMetadata" (dict "root" .root "component" .component "name" $block.name "role" .role "checksums" .checksums) | nindent 4 }}
    spec:
      restartPolicy: {{ .root.Values.global.image.restartPolicy }}
      {{- include "kasm.podCommon" . | nindent 6 }}
      {{- include "kasm.graceSeconds" (dict "root" .root "component" .component "default" (.grace | default 30)) | nindent 6 }}
      {{- with include "kasm.podSecurity" (dict "root" .root "uid" 1000) }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with include "kasm.spread" $named }}
      {{- . | nindent 6 }}
      {{- end }}
{{- end -}}

{{/*
What every main container of a Deployment starts with.
Argument: dict "root" . "component" "kasmApi"
*/}}
{{- define "kasm.containerHead" -}}
{{- $block := index .root.Values.kasmApp.servicesToDeploy .component -}}
name: {{ printf "%s-container" $block.name | quote }}
image: {{ include "kasm.image" (dict "block" $block) | quote }}
imagePullPolicy: {{ .root.Values.global.image.pullPolicy }}
{{- with include "kasm.containerSecurity" (dict "root" .root "uid" 1000) }}
{{- . | nindent 0 }}
{{- end }}
{{ include "kasm.resources" . }}
{{- end -}}

{{/*
One emptyDir volume.
Argument: dict "name" "manager-tmp" "limit" "1Gi"
*/}}
{{- define "kasm.emptyDir" -}}
- name: {{ .name }}
  emptyDir:
    sizeLimit: {{ .limit | quote }}
{{- end -}}

{{/*
Mounts of one volume, a sub-directory for each path, so that the paths do not see each other's files.
Argument: dict "name" "kasm-guac-data" "paths" (dict "tmp" "/tmp" "log" "/opt/kasm/current/log")
*/}}
{{- define "kasm.subPathMounts" -}}
{{- $name := .name -}}
{{- range $subPath, $path := .paths }}
- name: {{ $name }}
  mountPath: {{ $path }}
  subPath: {{ $subPath }}
{{- end -}}
{{- end -}}

{{/*
Mounts of a TLS Secret's certificate and key at two file paths.
Argument: dict "name" "rdp-proxy-cert" "cert" "/a.crt" "key" "/a.key"
*/}}
{{- define "kasm.tlsMounts" -}}
- name: {{ .name }}
  mountPath: {{ .cert }}
  subPath: tls.crt
  readOnly: true
- name: {{ .name }}
  mountPath: {{ .key }}
  subPath: tls.key
  readOnly: true
{{- end -}}

{{/*
A volume with a TLS Secret of kasmCerts.
Argument: dict "root" . "name" <volume name> "cert" "rdpGateway" ["mode" 384]
*/}}
{{- define "kasm.tlsVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ (index .root.Values.kasmCerts .cert).name | quote }}
    defaultMode: {{ .mode | default (include "kasm.keyMode" .root) | int }}
{{- end -}}

{{/* Environment of both RDP gateways. Argument: the root context. */}}
{{- define "kasm.rdpEnv" -}}
- name: SERVER_ZONE_NAME
  value: {{ .Values.kasmApp.zoneName | default "default" | quote }}
{{ include "kasm.secretEnv" (dict "root" . "variable" "REGISTRATION_TOKEN" "key" "service-token") }}
{{- end -}}
