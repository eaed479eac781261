{{/* Name of the database's ConfigMap. Argument: the root context. */}}
{{- define "kasm.db.configMap" -}}
{{ .kasm.name }}-db-configmap
{{- end -}}

{{/* Name of the ConfigMap with the seeding's script and test. Argument: the root context. */}}
{{- define "kasm.dbInit.configMap" -}}
{{ .kasm.name }}-db-init-startup
{{- end -}}

{{/*
A value of postgresql.conf, quoted. PostgreSQL reads any value in single quotes, numbers and switches too.
Argument: dict "name" N "value" V
*/}}
{{- define "kasm.db.quoted" -}}
{{- $value := .value -}}
{{- /* Numbers from values files are floats, and large ones would come out as 1e+06. */ -}}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) -}}
{{- $value = int64 $value -}}
{{- end -}}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) (contains "\n" (toString $value)) -}}
{{- fail (printf "kasmApp.servicesToDeploy.db.postgres.%s must be one line of text, a number or a switch" .name) -}}
{{- end -}}
'{{ toString $value | replace "\\" "\\\\" | replace "'" "''" }}'
{{- end -}}

{{/*
Lines of postgresql.conf that follow kasmApp.deploymentSize: about a quarter of the memory limit for shared
buffers, three quarters as what the planner may expect to be cached, and the rest for the connections.
Argument: the root context.
*/}}
{{- define "kasm.db.sizeSettings" -}}
{{- $size := .kasm.size -}}
{{- $settings := list
    (list "max_connections"      "100"   "200"    "400")
    (list "shared_buffers"       "96MB"  "512MB"  "2GB")
    (list "effective_cache_size" "256MB" "1536MB" "6GB")
    (list "work_mem"             "2MB"   "4MB"    "8MB")
    (list "maintenance_work_mem" "32MB"  "128MB"  "512MB")
    (list "max_wal_size"         "1GB"   "1GB"    "2GB") -}}
{{- range $settings }}
{{ first . }} = {{ index . (add1 $size) }}
{{- end -}}
{{- end -}}

{{/*
Lines of postgresql.conf from the values. What the mounts, probes, clients and pg_hba.conf count on is not for
sale: a database that nobody can reach would be the result.
Argument: the root context.
*/}}
{{- define "kasm.db.ownSettings" -}}
{{- $fixed := list "config_file" "data_directory" "hba_file" "listen_addresses" "port" "ssl" "ssl_cert_file"
    "ssl_key_file" "unix_socket_directories" -}}
{{- range $name, $value := .Values.kasmApp.servicesToDeploy.db.postgres }}
{{- if not (regexMatch "^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)?$" $name) -}}
{{- fail (printf "kasmApp.servicesToDeploy.db.postgres: %q is not the name of a setting" $name) -}}
{{- end -}}
{{- if has (lower $name) $fixed -}}
{{- fail (printf "kasmApp.servicesToDeploy.db.postgres.%s cannot be set: the chart's mounts, probes and clients rely on it" $name) -}}
{{- end }}
{{ $name }} = {{ include "kasm.db.quoted" (dict "name" $name "value" $value) }}
{{- end -}}
{{- end -}}

{{/*
Makes the data of the database's ConfigMap, once, as .kasm.dbConfig: the pods carry its checksum. Labels do not
count, which carry the chart's version.
Argument: the root context.
*/}}
{{- define "kasm.db.config" -}}
{{- if not (hasKey .kasm "dbConfig") -}}
{{- $_ := set .kasm "dbConfig" (include "kasm.db.configData" . | trimPrefix "\n") -}}
{{- end -}}
{{- end -}}

{{- define "kasm.db.configData" }}
  data.sql: |
    {{- .Files.Get "files/postgres/data.sql" | trim | nindent 4 }}
  pg_hba.conf: |
    {{- .Files.Get "files/postgres/pg_hba.conf" | trim | nindent 4 }}
  postgresql.conf: |
    {{- .Files.Get "files/postgres/postgresql.conf" | trim | nindent 4 }}

    # By kasmApp.deploymentSize.
    {{- include "kasm.db.sizeSettings" . | trim | nindent 4 }}
    {{- with include "kasm.db.ownSettings" . | trim }}

    # By kasmApp.servicesToDeploy.db.postgres.
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/*
One init container that waits until the database is seeded, by the very test that the seeding uses. What psql
has to say is shown: a wrong password is not a database that needs more time.
Argument: the root context.
*/}}
{{- define "kasm.waitForDatabase" -}}
{{- $api := .Values.kasmApp.servicesToDeploy.kasmApi -}}
- name: db-is-ready
  image: "{{ template "kasm.image" $api }}"
  imagePullPolicy: {{ .kasm.policy }}
  command: ["/bin/bash", "-euc"]
  args:
    - |
      {{- /* Piped in: a here-document of this bash would need a writable /tmp. */}}
      state() {
        printf '%s\n' "$STATE_SQL" |
          PGPASSWORD=$POSTGRES_PASSWORD PGSSLMODE=require PGCONNECT_TIMEOUT=10 \
          psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 \
          --host db --port 5432 --username kasmapp --dbname kasm
      }
      until answer=$(state) && [[ $answer == seeded ]]; do
        echo "waiting for the database: ${answer:-no answer}"
        sleep 5
      done
  env:
    - name: DB_AUTO_INITIALIZE
      value: "false"
    - name: START_SERVICES
      value: "false"
    {{- include "kasm.secretEnv" (dict "root" . "variable" "POSTGRES_PASSWORD" "key" "db-password") | nindent 4 }}
    - name: STATE_SQL
      value: |
        {{- .Files.Get "files/db-init/state.sql" | trim | nindent 8 }}
  {{- with .kasm.containerSecurity }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- .kasm.initResources | nindent 2 }}
{{- end -}}

{{/*
Volumes of the database and where they are mounted. Of the claim the server sees the sub-directory with its data
and nothing else; what it writes elsewhere has directories of its own in an emptyDir. File modes are decimal
(292 is 0444, 288 is 0440), which every YAML reader takes for the same number.
Argument: the root context.
*/}}
{{- define "kasm.db.volumes" -}}
- name: kasm-db-configs
  configMap:
    name: {{ include "kasm.db.configMap" . | quote }}
    defaultMode: 292
- name: kasm-db-cert
  secret:
    secretName: {{ .Values.kasmCerts.db.name | quote }}
    {{- /* PostgreSQL takes a key of root that its group, by fsGroup, may read, and nobody else. */}}
    defaultMode: 288
- name: kasm-db-run
  emptyDir:
    sizeLimit: 1Gi
{{- /* Parallel queries share memory here; what a container runtime gives by itself is 64 MiB for any size. */}}
- name: kasm-db-shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ index (list "64Mi" "256Mi" "1Gi") .kasm.size }}
{{- end -}}

{{- define "kasm.db.mounts" -}}
- name: kasm-db-data
  mountPath: /var/lib/postgresql/data
  subPath: postgres
- name: kasm-db-run
  mountPath: /tmp
  subPath: tmp
- name: kasm-db-run
  mountPath: /var/run/postgresql
  subPath: run
- name: kasm-db-run
  mountPath: /var/log/postgresql
  subPath: log
- name: kasm-db-shm
  mountPath: /dev/shm
- name: kasm-db-configs
  mountPath: /docker-entrypoint-initdb.d/data.sql
  subPath: data.sql
  readOnly: true
{{ include "kasm.db.configMounts" . }}
- name: kasm-db-cert
  mountPath: /etc/ssl/certs/db_server.crt
  subPath: tls.crt
  readOnly: true
- name: kasm-db-cert
  mountPath: /etc/ssl/certs/db_server.key
  subPath: tls.key
  readOnly: true
{{- end -}}

{{- define "kasm.db.configMounts" -}}
- name: kasm-db-configs
  mountPath: /var/lib/postgresql/conf/postgresql.conf
  subPath: postgresql.conf
  readOnly: true
- name: kasm-db-configs
  mountPath: /var/lib/postgresql/conf/pg_hba.conf
  subPath: pg_hba.conf
  readOnly: true
{{- end -}}

{{- define "kasm.db.env" -}}
- name: POSTGRES_DB
  value: kasm
- name: POSTGRES_USER
  value: kasmapp
{{ template "kasm.secretEnv" (dict "root" . "variable" "POSTGRES_PASSWORD" "key" "db-password") }}
{{- end -}}
