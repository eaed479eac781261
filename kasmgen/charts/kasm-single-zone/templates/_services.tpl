{{/*
A whole Service. Its name is fixed, because the images know it; it selects the pods by the component's name.
Argument: dict "root" . "service" "kasm-api" "component" "kasmApi" "ports" (list 8080)
          ["headless" true] ["object" <another metadata.name>]
*/}}
{{- define "kasm.service" -}}
{{- $name := (get .root.Values.kasmApp.servicesToDeploy .component).name -}}
apiVersion: v1
kind: Service
{{ template "kasm.metadata" (dict "root" .root "object" (.object | default .service) "name" (print $name "-svc")) }}
spec:
  {{- if .headless }}
  clusterIP: None
  publishNotReadyAddresses: true
  {{- end }}
  selector:
    app.kubernetes.io/name: {{ $name | quote }}
  ports:
    {{- $service := .service }}
    {{- range .ports }}
    - name: "{{ $service }}-{{ . }}"
      port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end -}}
