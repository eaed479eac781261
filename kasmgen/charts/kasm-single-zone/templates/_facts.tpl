{{/*
What most templates need, worked out once for each render and kept as `.kasm` in the root context, which is the same
map in every template: working it out for each object again would take most of the time. Every template that makes
objects begins with this one; it prints nothing. Texts are here as the helpers of the same name make them.
Argument: the root context.

  namespace  name  secret  account   of all objects; prefix of their names; the password Secret; the service account
  pullSecret  policy  zone           the registry login or nothing; the pull policy; the zone
  proxyAddress                       where session hosts find the proxy inside the cluster; kasmProxy.name renames
                                     the workload only, the Services' names are fixed
  size                               0, 1 or 2 for small, medium or large
  hardened                           kasmApp.applyHardening
  deploy                             for each component whether it is there; share and Redis need each other
  release                            of the labels "release" and "app.kubernetes.io/instance", quoted
  labels  annotated                  labels of every object; whether every object has annotations
  replicas                           of each Deployment
  labelled  extras                   whether kasmApp.defaults has labels or annotations for pods; variables or volumes
  given                              whether any password or certificate is given
  podCommon  podSecurity  containerSecurity  initResources  waitForApi
*/}}
{{- define "kasm.facts" -}}
{{- if not (hasKey . "kasm") -}}
{{- $global := .Values.global -}}
{{- $app := .Values.kasmApp -}}
{{- $all := $app.servicesToDeploy -}}
{{- $given := $global.kasmPasswords -}}
{{- $certs := .Values.kasmCerts -}}
{{- $sizes := dict "small" 0 "medium" 1 "large" 2 -}}
{{- if not (hasKey $sizes (toString $app.deploymentSize)) -}}
{{- fail (printf "kasmApp.deploymentSize is %q; it must be small, medium or large" (toString $app.deploymentSize)) -}}
{{- end -}}
{{- $name := $app.name | default "kasm" -}}
{{- $namespace := $global.namespace | default .Release.Namespace -}}
{{- $share := and $all.kasmShare.deploy $all.kasmRedis.deploy -}}
{{- $defaults := $app.defaults -}}
{{- $kasm := dict
    "namespace" $namespace
    "name" $name
    "secret" ($global.kasmPasswords.existingSecret | default (printf "%s-secrets" $name))
    "account" (.Values.serviceAccount.name | default (ternary $name "default" .Values.serviceAccount.create))
    "pullSecret" ($global.image.existingSecret | default $global.image.pullSecrets)
    "size" (get $sizes $app.deploymentSize)
    "hardened" $app.applyHardening
    "deploy" (dict "db" true "kasmApi" true "kasmManager" true "kasmProxy" true "kasmGuac" $all.kasmGuac.deploy
        "rdpGateway" $all.rdpGateway.deploy "rdpHttpsGateway" $all.rdpHttpsGateway.deploy
        "kasmShare" $share "kasmRedis" $share)
    "release" (quote .Release.Name)
    "annotated" (not (empty $global.annotations))
    "given" (or $given.redisPassword $given.dbPassword $given.managerToken $given.serviceToken $given.adminPassword
        $given.userPassword $certs.ingress.cert $certs.kasmProxy.cert $certs.rdpGateway.cert $certs.db.cert)
    "extras" (or $defaults.extraEnv $defaults.extraVolumes $defaults.extraVolumeMounts)
    "labelled" (or $defaults.podLabels $defaults.podAnnotations)
    "policy" $global.image.pullPolicy
    "zone" ($app.zoneName | default "default")
    "proxyAddress" (print "kasm-proxy." $namespace ".svc." $global.clusterDomain) -}}
{{- $_ := set . "kasm" $kasm -}}
{{- template "kasm.replicas" . -}}
{{- $_ := set $kasm "labels" (include "kasm.objectLabels" .) -}}
{{- $_ := set $kasm "podSecurity" (include "kasm.podSecurity" (dict "root" . "uid" 1000)) -}}
{{- $_ := set $kasm "containerSecurity" (include "kasm.containerSecurity" (dict "root" . "uid" 1000)) -}}
{{- $_ := set $kasm "initResources" (include "kasm.initResources" .) -}}
{{- $_ := set $kasm "podCommon" (include "kasm.podCommon" (dict "root" . "block" dict)) -}}
{{- $_ := set $kasm "waitForApi" (include "kasm.waitForApi" .) -}}
{{- end -}}
{{- end -}}
