{{/* Image of the seeding: the API's, whose programs it runs. Argument: the root context. */}}
{{- define "kasm.dbInit.image" -}}
{{- template "kasm.image" .Values.kasmApp.servicesToDeploy.kasmApi -}}
{{- end -}}

{{/* What the zone's Upstream Auth address is set to, or nothing. Argument: the root context. */}}
{{- define "kasm.dbInit.upstreamAuth" -}}
{{- $address := .Values.kasmApp.upstreamAuth -}}
{{- ternary .kasm.proxyAddress $address (eq $address "auto") -}}
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
{{ template "kasm.secretEnv" (dict "root" $ "variable" (first .) "key" (last .)) }}
{{- end }}
- name: ZONE_NAME
  value: {{ .kasm.zone | quote }}
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
{{- if .Values.job.resources }}
  {{- toYaml .Values.job.resources | nindent 2 }}
{{- else }}
  requests:
    cpu: "150m"
    memory: "128Mi"
    ephemeral-storage: "50Mi"
  limits:
    cpu: "1.0"
    memory: "512Mi"
    ephemeral-storage: "2Gi"
{{- end }}
{{- end -}}

{{/*
Everything of the Job's spec but nothing that changes with the chart's version: its hash is part of the name.
Argument: the root context.
*/}}
{{- define "kasm.dbInit.spec" -}}
{{- $name := .kasm.name -}}
{{- $pod := dict "root" . "block" .Values.job "name" (print $name "-db-init") "env" (include "kasm.dbInit.env" .)
    "mounts" (include "kasm.dbInit.mounts" .) "volumes" (include "kasm.dbInit.volumes" .) -}}
{{- $image := include "kasm.dbInit.image" . | quote -}}
{{- template "kasm.extras" $pod -}}
backoffLimit: {{ .Values.job.backoffLimit | int }}
activeDeadlineSeconds: {{ .Values.job.activeDeadlineSeconds | int }}
template:
  {{- include "kasm.podMetadata" $pod | nindent 2 }}
  spec:
    {{- include "kasm.podCommon" $pod | nindent 4 }}
    {{- /* A pod per try, so that the log of a failed one is there to read. */}}
    restartPolicy: Never
    {{- with .kasm.podSecurity }}
    {{- . | nindent 4 }}
    {{- end }}
    initContainers:
      - name: db-is-ready
        image: {{ $image }}
        imagePullPolicy: {{ .kasm.policy }}
        command: ["/bin/bash", "-euc"]
        args:
          - |
            until pg_isready --host db --port 5432 --timeout 10; do
              sleep 5
            done
        {{- with .kasm.containerSecurity }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- .kasm.initResources | nindent 8 }}
    containers:
      - name: {{ printf "%s-db-init-container" $name | quote }}
        image: {{ $image }}
        imagePullPolicy: {{ .kasm.policy }}
        command: ["/bin/bash", "/usr/bin/startup.sh"]
        env:
          {{- $pod.env | nindent 10 }}
        {{- with .kasm.containerSecurity }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- include "kasm.dbInit.resources" . | nindent 8 }}
        volumeMounts:
          {{- $pod.mounts | nindent 10 }}
    volumes:
      {{- $pod.volumes | nindent 6 }}
{{- end -}}
