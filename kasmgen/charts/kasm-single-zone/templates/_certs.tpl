{{/*
Did the user give this certificate? "true" or "". Empty text and the placeholder of the upstream chart both
mean: make one.
Argument: a block of kasmCerts
*/}}
{{- define "kasm.certGiven" -}}
{{- $cert := .cert | default "" | trim -}}
{{- if and $cert (not (contains "SSL Cert here" $cert)) }}true{{ end -}}
{{- end -}}
