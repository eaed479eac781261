{{/*
A whole Deployment with one main container. Texts are YAML without indentation. What kasm.probes, kasm.execProbes and
kasm.secretChecksum take is passed on to them.
Argument: dict "root" . "component" "kasmApi" "block" <its values> "port" <name of the first port>
          "ports" (list (list <name> <number>) ...) ["init" <text>] ["command" <text>]
          ["env" <text>] ["mounts" <text>] ["volumes" <text>] ["lifecycle" <text>]
          ["role" R] ["config" <checksum of ConfigMaps>] ["grace" 60] ["recreate" true]
*/}}
{{- define "kasm.deployment" -}}
{{- $kasm := .root.kasm -}}
{{- $values := .root.Values -}}
{{- $block := .block -}}
{{- $name := $block.name -}}
{{- template "kasm.extras" . -}}
apiVersion: apps/v1
kind: Deployment
{{ template "kasm.metadata" (dict "root" .root "object" (print $name "-deployment") "name" $name) }}
spec:
  replicas: {{ get $kasm.replicas .component }}
  selector:
    matchLabels:
      app.kubernetes.io/name: {{ $name | quote }}
  strategy:
    {{- if .recreate }}
    type: Recreate
    {{- else }}
    {{- /* Never below the wanted number, and never more than one pod beyond it. */}}
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
    {{- end }}
  template:
    {{- include "kasm.podMetadata" . | nindent 4 }}
    spec:
      restartPolicy: {{ $values.global.image.restartPolicy }}
      {{- if or $block.nodeSelector $block.tolerations $block.affinity $block.priorityClassName }}
      {{- include "kasm.podCommon" . | nindent 6 }}
      {{- else }}
      {{- $kasm.podCommon | nindent 6 }}
      {{- end }}
      terminationGracePeriodSeconds: {{ $block.terminationGracePeriodSeconds | default .grace | default 30 | int }}
      {{- with $kasm.podSecurity }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- if $values.topologySpread.enabled }}
      {{- /* Wishes, so that a cluster of one node still runs everything. */}}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: topology.kubernetes.io/zone
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              app.kubernetes.io/name: {{ $name | quote }}
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              app.kubernetes.io/name: {{ $name | quote }}
      {{- end }}
      {{- with .init }}
      initContainers:
        {{- . | nindent 8 }}
      {{- end }}
      containers:
        - name: "{{ $name }}-container"
          image: "{{ template "kasm.image" $block }}"
          imagePullPolicy: {{ $kasm.policy }}
          {{- with .command }}
          {{- . | nindent 10 }}
          {{- end }}
          {{- with $kasm.containerSecurity }}
          {{- . | nindent 10 }}
          {{- end }}
          {{- template "kasm.resources" . }}
          ports:
            {{- range .ports }}
            - name: {{ first . | quote }}
              containerPort: {{ last . }}
              protocol: TCP
            {{- end }}
          {{- with .env }}
          env:
            {{- . | nindent 12 }}
          {{- end }}
          {{- with .mounts }}
          volumeMounts:
            {{- . | nindent 12 }}
          {{- end }}
          {{- if $block.addHealthChecks }}
          {{- if .path }}
          {{- template "kasm.probes" . }}
          {{- else }}
          {{- template "kasm.execProbes" . }}
          {{- end }}
          {{- end }}
          {{- if .lifecycle }}
          {{- .lifecycle | nindent 10 }}
          {{- else if not .recreate }}
          {{- /*
          A pause before the stop signal: it takes a moment until the Service, the Ingress controller and nginx no
          longer send new connections to a pod that is going away.
          */}}
          lifecycle:
            preStop:
              exec:
                command: ["/bin/sh", "-c", "sleep 5"]
          {{- end }}
      {{- with .volumes }}
      volumes:
        {{- . | nindent 8 }}
      {{- end }}
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
A volume with a TLS Secret of kasmCerts. File modes are decimal, which every YAML reader understands alike: 0440
when the pod's group is known, 0444 when the image decides who runs.
Argument: dict "root" . "name" <volume name> "cert" "rdpGateway"
*/}}
{{- define "kasm.tlsVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ (get .root.Values.kasmCerts .cert).name | quote }}
    defaultMode: {{ ternary 288 292 .root.kasm.hardened }}
{{- end -}}

{{/* Environment of both RDP gateways. Argument: the root context. */}}
{{- define "kasm.rdpEnv" -}}
- name: SERVER_ZONE_NAME
  value: {{ .kasm.zone | quote }}
{{ template "kasm.secretEnv" (dict "root" . "variable" "REGISTRATION_TOKEN" "key" "service-token") }}
{{- end -}}
