{{/*
The pod's block "securityContext:". PostgreSQL (uid 70) always gets its user, the others only when hardened.
OnRootMismatch keeps the kubelet from walking a large volume at each start, and from widening the modes of
PostgreSQL's files, which it would refuse.
Argument: dict "root" . "uid" 1000
*/}}
{{- define "kasm.podSecurity" -}}
{{- $uid := .uid | int -}}
{{- $hardened := .root.Values.kasmApp.applyHardening -}}
{{- if or $hardened (eq $uid 70) -}}
securityContext:
  {{- if $hardened }}
  runAsNonRoot: true
  {{- end }}
  runAsUser: {{ $uid }}
  runAsGroup: {{ $uid }}
  fsGroup: {{ $uid }}
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
{{- if .root.Values.kasmApp.applyHardening -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid | int }}
  runAsGroup: {{ .uid | int }}
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
  seccompProfile:
    type: RuntimeDefault
{{- end -}}
{{- end -}}

{{/*
File mode of mounted private keys, in decimal, which every YAML reader understands alike: 0440 when the pod's
group is known, 0444 when the image decides who runs.
Argument: the root context.
*/}}
{{- define "kasm.keyMode" -}}
{{- ternary 288 292 .Values.kasmApp.applyHardening -}}
{{- end -}}
