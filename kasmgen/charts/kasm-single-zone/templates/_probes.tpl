{{/*
The three probes of a component that answers HTTP: a TCP connect to "start" until it has started, then a TCP connect
to the port and a GET of the health check. A start may take five minutes before the kubelet gives up; only then do
the steady probes count. Ten spaces in.
Argument: dict "start" <port name> "port" <port name> "path" "/__healthcheck" ["scheme" "HTTPS"]
          ["startPath" <path for a GET over HTTPS in place of the first connect>]
*/}}
{{- define "kasm.probes" }}
          startupProbe:
            {{- with .startPath }}
            httpGet:
              path: {{ . }}
              port: {{ $.start | quote }}
              scheme: HTTPS
            {{- else }}
            tcpSocket:
              port: {{ .start | quote }}
            {{- end }}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 60
            successThreshold: 1
          livenessProbe:
            tcpSocket:
              port: {{ .port | quote }}
            initialDelaySeconds: 30
            periodSeconds: 30
            timeoutSeconds: 10
            failureThreshold: 3
            successThreshold: 1
          readinessProbe:
            httpGet:
              path: {{ .path }}
              port: {{ .port | quote }}
              scheme: {{ .scheme | default "HTTP" }}
            initialDelaySeconds: 10
            periodSeconds: 30
            timeoutSeconds: 10
            failureThreshold: 3
            successThreshold: 1
{{- end -}}

{{/*
The three probes of a component that is asked by a shell command; without "alive" the port is connected to. Ten
spaces in.
Argument: dict "start" <script> "ready" <script> "alive" <script> or "port" <port name>
*/}}
{{- define "kasm.execProbes" }}
          startupProbe:
            exec:
              command: ["/bin/sh", "-c", {{ .start | quote }}]
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 60
            successThreshold: 1
          livenessProbe:
            {{- if .alive }}
            exec:
              command: ["/bin/sh", "-c", {{ .alive | quote }}]
            initialDelaySeconds: 20
            {{- else }}
            tcpSocket:
              port: {{ .port | quote }}
            initialDelaySeconds: 30
            {{- end }}
            periodSeconds: 30
            timeoutSeconds: 10
            failureThreshold: 3
            successThreshold: 1
          readinessProbe:
            exec:
              command: ["/bin/sh", "-c", {{ .ready | quote }}]
            initialDelaySeconds: 20
            periodSeconds: 30
            timeoutSeconds: 10
            failureThreshold: 3
            successThreshold: 1
{{- end -}}
