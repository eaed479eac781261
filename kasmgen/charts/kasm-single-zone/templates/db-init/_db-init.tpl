{{/* Image of the seeding: the API's, whose programs it runs. Argument: the root context. */}}
{{- define "kasm.dbInit.image" -}}
{{- include "kasm.image" (dict "block" .Values.kasmApp.servicesToDeploy.kasmApi) -}}
{{- end -}}

{{/* What the zone's Upstream Auth address is set to, or nothing. Argument: the root context. */}}
{{- define "kasm.dbInit.upstreamAuth" -}}
{{- $address := .Values.kasmApp.upstreamAuth -}}
{{- ternary (include "kasm.proxyAddress" .) $address (eq $address "auto") -}}
{{- end -}}

{{- define "kasm.dbInit.env" -}}
- name: DB_AUTO_INITIALIZE
  value: "true"
{{- $keys := list
    (list "DEFAULT_ADMIN_PASSWORD" "admin-password")
    (list "DEFAULT_MANAGER_TOKEN" "manager-token")
    (list "DEFAULT_REGISTRATION_TOKEN" "service-token")
    (list "DEFAULT_USER_PASSWORD" "user-password")
    (list "POSTGRES_PASSWORD" "db-password") -}}
{{- range $keys }}
{{ include "kasm.secretEnv" (dict "root" $ "variable" (first .) "key" (last .)) }}
{{- end }}
- name: ZONE_NAME
  value: {{ .Values.kasmApp.zoneName | default "default" | quote }}
- name: UPSTREAM_AUTH_ADDRESS
  value: {{ include "kasm.dbInit.upstreamAuth" . | quote }}
- name: API_IMAGE
  value: {{ include "kasm.dbInit.image" . | quote }}
{{- end -}}

{{- define "kasm.dbInit.volumes" -}}
- name: db-init-script
  configMap:
    name: {{ include "kasm.dbInit.configMap" . | quote }}
    {{- /* 0755 in decimal, which every YAML reader takes for the same number. */}}
    defaultMode: 493
- name: db-init-tmp
  emptyDir:
    {{- /* The program is a self-extracting one: it unpacks itself here. */}}
    sizeLimit: 1Gi
{{- end -}}

{{- define "kasm.dbInit.mounts" -}}
- name: db-init-script
  mountPath: /usr/bin/startup.sh
  subPath: startup.sh
  readOnly: true
- name: db-init-script
  mountPath: /etc/kasm-db-init
  readOnly: true
- name: db-init-tmp
  mountPath: /tmp
{{- end -}}

{{/* More than the API needs at the small size, because a seeding that runs out of memory starts all over. */}}
{{- define "kasm.dbInit.resources" -}}
resources:
  requests:
    cpu: "150m"
    memory: "128Mi"
    ephemeral-storage: "50Mi"
  limits:
    cpu: "1.0"
    memory: "512Mi"
    ephemeral-storage: "2Gi"
{{- end -}}

{{/*
Everything of the Job's spec but nothing that changes with the chart's version: its hash is part of the name.
Argument: the root context.
*/}}
{{- define "kasm.dbInit.spec" -}}
{{- $name := include "kasm.name" . -}}
{{- $context := dict "root" . "component" "job" "name" (printf "%s-db-init" $name) "uid" 1000 -}}
backoffLimit: {{ .Values.job.backoffLimit | int }}
activeDeadlineSeconds: {{ .Values.job.activeDeadlineSeconds | int }}
template:
  {{- include "kasm.podMetadata" $context | nindent 2 }}
  spec:
    {{- include "kasm.podCommon" $context | nindent 4 }}
    {{- /* A pod per try, so that the log of a failed one is there to read. */}}
    restartPolicy: Never
    {{- with include "kasm.podSecurity" $context }}
    {{- . | nindent 4 }}
    {{- end }}
    initContainers:
      - name: db-is-ready
        image: {{ include "kasm.dbInit.image" . | quote }}
        imagePullPolicy: {{ .Values.global.image.pullPolicy }}
        command: ["/bin/bash", "-euc"]
        args:
          - |
            until pg_isready --host db --port 5432 --timeout 10; do
              sleep 5
            done
        {{- with include "kasm.containerSecurity" $context }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- include "kasm.initResources" . | nindent 8 }}
    containers:
      - name: {{ printf "%s-db-init-container" $name | quote }}
        image: {{ include "kasm.dbInit.image" . | quote }}
        imagePullPolicy: {{ .Values.global.image.pullPolicy }}
        command: ["/bin/bash", "/usr/bin/startup.sh"]
        {{- include "kasm.env" (dict "own" (include "kasm.dbInit.env" .) "root" . "component" "job") | nindent 8 }}
        {{- with include "kasm.containerSecurity" $context }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- include "kasm.dbInit.resources" . | nindent 8 }}
        {{- include "kasm.volumeMounts" (dict "own" (include "kasm.dbInit.mounts" .) "root" . "component" "job") | nindent 8 }}
    {{- include "kasm.volumes" (dict "own" (include "kasm.dbInit.volumes" .) "root" . "component" "job") | nindent 4 }}
{{- end -}}
