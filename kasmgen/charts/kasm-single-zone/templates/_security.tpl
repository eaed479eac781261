{{/*
The pod's block "securityContext:". PostgreSQL (uid 70) always gets its user, the others only when hardened.
OnRootMismatch keeps the kubelet from walking a large volume at each start, and from widening the modes of
PostgreSQL's files, which it would refuse.
Argument: dict "root" . "uid" 1000
*/}}
{{- define "kasm.podSecurity" -}}
{{- $hardened := .root.kasm.hardened -}}
{{- if or $hardened (eq .uid 70) -}}
securityContext:
  {{- if $hardened }}
  runAsNonRoot: true
  {{- end }}
  runAsUser: {{ .uid }}
  runAsGroup: {{ .uid }}
  fsGroup: {{ .uid }}
  fsGroupChangePolicy: OnRootMismatch
  {{- if $hardened }}
  seccompProfile:
    type: RuntimeDefault
  {{- end }}
{{- end -}}
{{- end -}}

{{/*
The container's block "securityContext:", nothing when hardening is off.
Argument: dict "root" . "uid" 1000
*/}}
{{- define "kasm.containerSecurity" -}}
{{- if .root.kasm.hardened -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .uid }}
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
  seccompProfile:
    type: RuntimeDefault
{{- end -}}
{{- end -}}
