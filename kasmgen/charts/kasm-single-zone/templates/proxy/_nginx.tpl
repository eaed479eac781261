{{/*
Makes what nginx is configured with, once: .kasm.upstreams, the back ends, and .kasm.proxyConfig, the data of the
three ConfigMaps, whose checksum the pods carry. Labels do not count, which carry the chart's version.
Argument: the root context.
*/}}
{{- define "kasm.proxyConfig" -}}
{{- if not (hasKey .kasm "proxyConfig") -}}
{{- template "kasm.nginxUpstreams" . -}}
{{- $_ := set .kasm "proxyConfig" (list
    (include "proxy.base" . | trimPrefix "\n")
    (include "proxy.settings" . | trimPrefix "\n")
    (include "proxy.services" . | trimPrefix "\n")) -}}
{{- end -}}
{{- end -}}

{{/*
For each key of the settings ConfigMap its upstream blocks, each with the Service and its ports. Only components that
are there. An unpooled block shares its way out by name with the pooled one before it.
*/}}
{{- define "kasm.nginxUpstreams" -}}
{{- $deploy := .kasm.deploy -}}
{{- $blocks := dict
    "upstream_api.conf" (list (dict "name" "kasm-api" "service" "kasm-api" "ports" (list 8080)))
    "upstream_manager.conf" (list (dict "name" "kasm-manager" "service" "kasm-manager" "ports" (list 8181))) -}}
{{- if $deploy.kasmGuac -}}
{{- $_ := set $blocks "upstream_kasm_guac.conf" (list
    (dict "name" "kasm-guac" "service" "kasm-guac" "ports" (list 3000))
    (dict "name" "kasm-guac-backend" "service" "kasm-guac" "ports" (list 3001 3002 3003 3004))) -}}
{{- end -}}
{{- if $deploy.kasmShare -}}
{{- $_ := set $blocks "upstream_kasm_share.conf" (list (dict "name" "kasm-share" "service" "kasm-share" "ports" (list 8182))) -}}
{{- end -}}
{{- if $deploy.rdpGateway -}}
{{- $_ := set $blocks "upstream_rdp_gateway.conf" (list (dict "name" "rdp-gateway" "service" "rdp-gateway" "ports" (list 5555))) -}}
{{- end -}}
{{- if $deploy.rdpHttpsGateway -}}
{{- /* A tunnel's connection may be authenticated for its client (NTLM), so it must never serve another one. */ -}}
{{- $_ := set $blocks "upstream_rdp_https_gateway.conf" (list
    (dict "name" "rdp-https-gateway" "service" "rdp-https-gateway" "ports" (list 9443) "tls" true)
    (dict "name" "rdp-https-tunnel" "service" "rdp-https-gateway" "ports" (list 9443) "tls" true "unpooled" true)) -}}
{{- end -}}
{{- $_ := set .kasm "upstreams" $blocks -}}
{{- end -}}

{{/*
One upstream block and its way out by name.
nginx resolves the names in an upstream block once, when it starts, and does not start when one has no address.
So the addresses come from files that the init container "names" writes, and behind them stands a server of
this nginx that asks DNS with each request: it serves while there is no address, or when it no longer answers.
Only the block keeps connections open for reuse.
The server's port on the loopback interface is that of the Service and 10000.
Argument: dict "root" . "upstream" <an item of kasm.nginxUpstreams>
*/}}
{{- define "kasm.nginxUpstream" -}}
{{- $root := .root -}}
{{- $upstream := .upstream -}}
{{- $keepalive := $root.Values.kasmApp.servicesToDeploy.kasmProxy.serviceKeepalive | int -}}
upstream {{ $upstream.name }} {
    {{- range $upstream.ports }}
    include /run/names/{{ $upstream.service }}-{{ . }}.con[f];
    {{- end }}
    # Never used: keeps the block valid as long as the files above are empty or missing.
    server 127.0.0.1:9 down;
    {{- range $upstream.ports }}
    server 127.0.0.1:{{ add 10000 . }} backup;
    {{- end }}
    {{- if and (gt $keepalive 0) (not $upstream.unpooled) }}
    keepalive {{ $keepalive }};
    # Shorter than the idle limit of the usual application servers (Node.js: 5 s), so that a request never meets
    # a connection that the other side is closing.
    keepalive_timeout 4s;
    {{- end }}
}
{{- range ternary list $upstream.ports (hasKey $upstream "unpooled") }}

server {
    listen 127.0.0.1:{{ add 10000 . }}{{ if $upstream.tls }} ssl{{ end }};
    {{- if $upstream.tls }}
    ssl_certificate /etc/ssl/certs/kasm_nginx.crt;
    ssl_certificate_key /etc/ssl/private/kasm_nginx.key;
    {{- end }}
    include /etc/nginx/conf.d/by_name.inc;
    location / {
        set $kasm_host {{ $upstream.service }}.{{ $root.kasm.namespace }}.svc.{{ $root.Values.global.clusterDomain }};
        proxy_pass {{ if $upstream.tls }}https{{ else }}http{{ end }}://$kasm_host:{{ . }};
    }
}
{{- end }}
{{- end -}}

{{/*
Number of nginx workers: what the values say, else one for each 250m of the preset's CPU limit. More of them would
only spend the same share of processor time sooner.
Argument: the root context.
*/}}
{{- define "kasm.nginxWorkers" -}}
{{- $own := .Values.kasmApp.servicesToDeploy.kasmProxy.workerProcesses | toString -}}
{{- if has $own (list "" "0" "<nil>") -}}
{{- index (list 1 2 3) .kasm.size -}}
{{- else if eq $own "auto" -}}
auto
{{- else -}}
{{- $own | int -}}
{{- end -}}
{{- end -}}

{{/* nginx.conf. Argument: the root context. */}}
{{- define "kasm.nginxMain" -}}
{{- $proxy := .Values.kasmApp.servicesToDeploy.kasmProxy -}}
{{- $trusted := $proxy.trustedProxies | default list -}}
{{- if not .kasm.hardened -}}
# The image decides who runs; where that is root, the workers are this user.
user nginx;
{{ end -}}
worker_processes {{ include "kasm.nginxWorkers" . }};
worker_rlimit_nofile 16384;
error_log /dev/stderr notice;
pid /run/nginx.pid;

events {
    # A session takes two connections, so few workers need many.
    worker_connections 4096;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    sendfile on;
    keepalive_timeout 65;

    # The root file system is read-only; these are the image's own paths, on a volume.
    client_body_temp_path /var/cache/nginx/client_temp;
    proxy_temp_path /var/cache/nginx/proxy_temp;
    fastcgi_temp_path /var/cache/nginx/fastcgi_temp;
    uwsgi_temp_path /var/cache/nginx/uwsgi_temp;
    scgi_temp_path /var/cache/nginx/scgi_temp;
    # Bodies go on as they come, and large answers wait at the back end: a few of them on the volume, 1 GB each,
    # would get the pod evicted.
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;

    proxy_connect_timeout 10s;
    # A back end's error is tried again elsewhere; a slow answer is not asked for a second time.
    proxy_next_upstream error;
    proxy_next_upstream_timeout 20s;

    # Names that only come up at run time: session hosts, and Services without an address at the start.
    {{- if $proxy.resolver }}
    resolver {{ $proxy.resolver }} valid=10s;
    {{- else }}
    include /run/names/resolver.con[f];
    {{- end }}
    resolver_timeout 5s;

    # The client's address and scheme, as told by the Ingress controller. 127.0.0.1 is this nginx itself, which
    # asks itself for guac's sessions.
    set_real_ip_from 127.0.0.1;
    {{- range $trusted }}
    set_real_ip_from {{ . }};
    {{- end }}
    real_ip_header X-Forwarded-For;
    real_ip_recursive on;

    geo $realip_remote_addr $kasm_trusted_peer {
        default 0;
        127.0.0.1/32 1;
        {{- range $trusted }}
        {{ . }} 1;
        {{- end }}
    }
    map "$kasm_trusted_peer $http_x_forwarded_proto" $kasm_scheme {
        default $scheme;
        "~*^1 https(,|$)" https;
        "~*^1 http(,|$)" http;
    }
    # $proxy_add_x_forwarded_for would add the client a second time, in place of the peer.
    map $http_x_forwarded_for $kasm_forwarded_for {
        default "$http_x_forwarded_for, $realip_remote_addr";
        "" $realip_remote_addr;
    }

    # Only a WebSocket is an upgrade. Everything else leaves the connection reusable, and no other protocol (h2c)
    # can be smuggled past the locations.
    map $http_upgrade $kasm_upgrade {
        default "";
        "~*^websocket$" $http_upgrade;
    }
    map $kasm_upgrade $kasm_connection {
        default upgrade;
        "" "";
    }
    map $kasm_upgrade $kasm_tunnel_connection {
        default upgrade;
        "" close;
    }

    # Other sites that may use this one in the name of its users.
    map $http_origin $kasm_cors_origin {
        default "";
        {{- range $proxy.corsOrigins | default list }}
        {{ . | quote }} $http_origin;
        {{- end }}
    }
    map $kasm_cors_origin $kasm_cors_credentials {
        default true;
        "" "";
    }
    map $kasm_cors_origin $kasm_cors_methods {
        default "GET, POST, OPTIONS";
        "" "";
    }
    map $kasm_cors_origin $kasm_cors_headers {
        default "DNT,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range";
        "" "";
    }
    # Caches must know that the answer depends on the origin, where it does.
    map $host $kasm_cors_vary {
        default {{ ternary "Origin" "" (not (empty $proxy.corsOrigins)) | quote }};
    }

    # Pages are asked for again each time, so that an update shows at once; what they load may be kept.
    map $sent_http_content_type $kasm_expires {
        default off;
        ~^text/html -1;
        ~^text/css 4h;
        ~^(application|text)/(x-)?javascript 4h;
        ~^application/(wasm|font) 4h;
        ~^(audio|font|image)/ 4h;
    }

    include /etc/nginx/conf.d/*.conf;
}
{{- end -}}

{{/*
The init container that writes /run/names for nginx. It needs the volume that nginx has at /run.
After kasm.proxyConfig.
Argument: dict "root" . "volume" <volume name> ["subPath" <of the mount at /run>]
*/}}
{{- define "kasm.proxyNames" -}}
{{- $root := .root -}}
- name: names
  image: "{{ template "kasm.image" $root.Values.helperImages.curl }}"
  imagePullPolicy: {{ $root.kasm.policy }}
  command: ["/bin/sh", "-c"]
  args:
    - |
      {{- $root.Files.Get "files/nginx/names.sh" | trim | nindent 6 }}
    - names.sh
    - /run/names
    - {{ ternary "-" "/etc/resolv.conf" (not (empty $root.Values.kasmApp.servicesToDeploy.kasmProxy.resolver)) | quote }}
    {{- $services := dict }}
    {{- range $blocks := $root.kasm.upstreams }}
    {{- range $blocks }}
    {{- $_ := set $services .service (concat (get $services .service | default list) .ports | uniq) }}
    {{- end }}
    {{- end }}
    {{- range $service, $ports := $services }}
    - "{{ $service }}:{{ range $index, $port := $ports }}{{ if $index }},{{ end }}{{ $port }}{{ end }}"
    {{- end }}
  volumeMounts:
    - name: {{ .volume | quote }}
      mountPath: /run
      {{- with .subPath }}
      subPath: {{ . | quote }}
      {{- end }}
  {{- with $root.kasm.containerSecurity }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- $root.kasm.initResources | nindent 2 }}
{{- end -}}

{{- define "proxy.base" }}
  nginx.conf: |
    {{- include "kasm.nginxMain" . | nindent 4 }}
{{- end -}}

{{- define "proxy.settings" }}
  {{- $files := list
      "by_name.inc" "compress.conf" "cors.inc" "cors_hide.inc" "hsts.inc" "kasm_cookies.inc" "logging.conf"
      "orchestrator.conf" "orchestrator_common.inc" "orchestrator_http.conf" "proxy_auth.inc" "proxy_session.inc"
      "proxy_std.inc" }}
  {{- if .kasm.deploy.kasmGuac }}{{ $files = append $files "guac_machine.inc" }}{{ end }}
  {{- if .kasm.deploy.rdpHttpsGateway }}{{ $files = append $files "rdp_tunnel.inc" }}{{ end }}
  {{- range sortAlpha $files }}
  {{ . }}: |
    {{- $.Files.Get (printf "files/nginx/conf.d/%s" .) | trim | nindent 4 }}
  {{- end }}
  {{- range $file, $upstreams := .kasm.upstreams }}
  {{ $file }}: |
    {{- range $upstreams }}
    {{- include "kasm.nginxUpstream" (dict "root" $ "upstream" .) | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "proxy.services" }}
  {{- $locations := list
      "admin_api" "client_api" "manager_api" "subscription_api" "upstream_proxy" "website" }}
  {{- range $component, $file := dict
      "kasmGuac" "kasmguac" "kasmShare" "share_api" "rdpGateway" "rdp_gateway" "rdpHttpsGateway" "rdp_https_gateway" }}
  {{- if get $.kasm.deploy $component }}
  {{- $locations = append $locations $file }}
  {{- end }}
  {{- end }}
  {{- range sortAlpha $locations }}
  {{ . }}.conf: |
    {{- $.Files.Get (printf "files/nginx/services.d/%s.conf" .) | trim | nindent 4 }}
  {{- end }}
{{- end -}}
