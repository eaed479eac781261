{{- define "nasty-lib.init" -}}
- name: {{ .name }}
  image: {{ .image }}/{{ .name }}
  command: [sh, -c]
  args:
  - |
    # Runs before the next one.
    until nc -z {{ .name }} 80; do sleep 1; done
{{- end -}}
