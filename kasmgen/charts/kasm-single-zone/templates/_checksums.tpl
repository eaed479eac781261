{{/*
The value of a pod annotation that changes with the passwords and certificates that the user gave and this pod uses; nothing
when all of them are generated or exist already. What is random or looked up must not show outside Secrets.
Cut to 32 bits: enough to see a change, too little to confirm a guess at a password.
Argument: dict "root" . ["passwords" (list "dbPassword")] ["certs" (list "db")]
*/}}
{{- define "kasm.secretChecksum" -}}
{{- $values := .root.Values -}}
{{- $given := list -}}
{{- if not $values.global.kasmPasswords.existingSecret -}}
{{- range .passwords -}}
{{- with get $values.global.kasmPasswords . -}}{{- $given = append $given . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- range .certs -}}
{{- $cert := get $values.kasmCerts . -}}
{{- if and $cert.create (include "kasm.certGiven" $cert) -}}
{{- $given = concat $given (list $cert.cert $cert.key) -}}
{{- end -}}
{{- end -}}
{{- if $given -}}
{{- $given | toJson | sha256sum | trunc 8 -}}
{{- end -}}
{{- end -}}
