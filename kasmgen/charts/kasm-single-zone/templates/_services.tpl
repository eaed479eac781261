{{/*
A whole Service. Its name is fixed, because the images know it; it selects the pods by the component's name.
Argument: dict "root" . "service" "kasm-api" "name" <component name> "ports" (list 8080)
          ["headless" true] ["object" <another metadata.name>]
*/}}
{{- define "kasm.service" -}}
apiVersion: v1
kind: Service
{{ include "kasm.metadata" (dict "root" .root "object" (.object | default .service) "name" (printf "%s-svc" .name)) }}
spec:
  {{- if .headless }}
  clusterIP: None
  publishNotReadyAddresses: true
  {{- end }}
  selector:
    {{- include "kasm.selector" . | nindent 4 }}
  ports:
    {{- $service := .service }}
    {{- range .ports }}
    - name: {{ printf "%s-%v" $service . | quote }}
      port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end -}}
