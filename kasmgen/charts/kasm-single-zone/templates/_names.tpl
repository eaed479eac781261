{{/* Namespace of every object. Argument: the root context. */}}
{{- define "kasm.namespace" -}}
{{- .Values.global.namespace | default .Release.Namespace -}}
{{- end -}}

{{/* Prefix of the shared objects' names. Argument: the root context. */}}
{{- define "kasm.name" -}}
{{- .Values.kasmApp.name | default "kasm" -}}
{{- end -}}

{{/* Name of the Secret with the six passwords and tokens. Argument: the root context. */}}
{{- define "kasm.passwordSecret" -}}
{{- .Values.global.kasmPasswords.existingSecret | default (printf "%s-secrets" (include "kasm.name" .)) -}}
{{- end -}}

{{/* Name of the registry login, empty when pods need none. Argument: the root context. */}}
{{- define "kasm.pullSecret" -}}
{{- .Values.global.image.existingSecret | default .Values.global.image.pullSecrets -}}
{{- end -}}

{{/* Name of the pods' service account. Argument: the root context. */}}
{{- define "kasm.serviceAccount" -}}
{{- $account := .Values.serviceAccount -}}
{{- $account.name | default (ternary (include "kasm.name" .) "default" $account.create) -}}
{{- end -}}

{{/*
Is a component there? "true" or "". Share and Redis need each other, so they are one decision.
Argument: dict "root" . "component" "kasmShare"
*/}}
{{- define "kasm.enabled" -}}
{{- $all := .root.Values.kasmApp.servicesToDeploy -}}
{{- if or (eq .component "kasmShare") (eq .component "kasmRedis") -}}
{{- if and $all.kasmShare.deploy $all.kasmRedis.deploy }}true{{ end -}}
{{- else -}}
{{- $block := get $all .component -}}
{{- if or $block.deploy (not (hasKey $block "deploy")) }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* Address that session hosts use for Upstream Auth inside the cluster. Argument: the root context. */}}
{{- define "kasm.proxyAddress" -}}
{{- /* The Service's name is fixed; kasmProxy.name renames the workload only. */ -}}
kasm-proxy.{{ include "kasm.namespace" . }}.svc.{{ .Values.global.clusterDomain }}
{{- end -}}
