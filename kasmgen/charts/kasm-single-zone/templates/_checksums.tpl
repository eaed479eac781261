{{/*
A pod annotation that changes when, and only when, the data of the named ConfigMap templates changes. Labels do
not count: they carry the chart's version.
Argument: dict "root" . "files" (list "/proxy/configmaps.yaml"), paths below templates/
*/}}
{{- define "kasm.configChecksum" -}}
{{- $root := .root -}}
{{- $data := list -}}
{{- range .files -}}
{{- range splitList "\n---\n" (include (print $root.Template.BasePath .) $root) -}}
{{- /* "data:" follows the metadata, where labels are. */ -}}
{{- $parts := splitn "\ndata:\n" 2 . -}}
{{- if not $parts._1 -}}{{- fail "kasm.configChecksum: a document has no data" -}}{{- end -}}
{{- $data = append $data $parts._1 -}}
{{- end -}}
{{- end -}}
checksum/config: {{ $data | join "\n---\n" | sha256sum }}
{{- end -}}

{{/*
A pod annotation that changes with the passwords and certificates that the user gave and this pod uses; nothing
when all of them are generated or exist already. What is random or looked up must not show outside Secrets.
Cut to 32 bits: enough to see a change, too little to confirm a guess at a password.
Argument: dict "root" . ["passwords" (list "dbPassword")] ["certs" (list "db")]
*/}}
{{- define "kasm.secretChecksum" -}}
{{- $root := .root -}}
{{- $given := list -}}
{{- if not $root.Values.global.kasmPasswords.existingSecret -}}
{{- range .passwords -}}
{{- with index $root.Values.global.kasmPasswords . -}}{{- $given = append $given . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- range .certs -}}
{{- $cert := index $root.Values.kasmCerts . -}}
{{- if and $cert.create (include "kasm.certGiven" $cert) -}}
{{- $given = concat $given (list $cert.cert $cert.key) -}}
{{- end -}}
{{- end -}}
{{- if $given -}}
checksum/secrets: {{ $given | toJson | sha256sum | trunc 8 | quote }}
{{- end -}}
{{- end -}}
