{{- define "exchange-kernel.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* The release's name if it says what this is, else with the chart's name after it. */ -}}
{{- define "exchange-kernel.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "exchange-kernel.selectorLabels" -}}
app.kubernetes.io/name: {{ include "exchange-kernel.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "exchange-kernel.labels" -}}
{{ include "exchange-kernel.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "exchange-kernel.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "exchange-kernel.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "exchange-kernel.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* What Pod Security's "restricted" asks for, and a root file system that nothing can write to. */ -}}
{{- define "exchange-kernel.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "exchange-kernel.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Where the operator works, by namespace: the same for a ClusterRole and for a Role in each watched namespace. */ -}}
{{- define "exchange-kernel.rules" -}}
# patch: finalizers, which keep an object until what it stands for is settled.
- apiGroups: [exchange-kernel.io]
  resources: [orderintents, ordergroups, exchangeaccounts]
  verbs: [get, list, watch, patch]
- apiGroups: [exchange-kernel.io]
  resources: [orderintents]
  verbs: [create, delete]
- apiGroups: [exchange-kernel.io]
  resources: [ordergroups]
  verbs: [delete]
- apiGroups: [exchange-kernel.io]
  resources: [risklimits]
  verbs: [get, list, watch]
# What strategies read, which the operator alone writes.
- apiGroups: [exchange-kernel.io]
  resources: [markets]
  verbs: [get, list, create, patch, delete]
- apiGroups: [exchange-kernel.io]
  resources: [accountstates]
  verbs: [get, list, watch, create]
- apiGroups: [exchange-kernel.io]
  resources: [accountstates/status]
  verbs: [patch]
- apiGroups: [exchange-kernel.io]
  resources: [orderintents/status, ordergroups/status, exchangeaccounts/status]
  verbs: [patch]
# The first status of an order is written whole.
- apiGroups: [exchange-kernel.io]
  resources: [orderintents/status]
  verbs: [update]
- apiGroups: [exchange-kernel.io]
  resources: [ordergroups/finalizers]
  verbs: [update]
# By name only, as an ExchangeAccount in the same namespace names them.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- /* An admission policy and its binding, which holds in the watched namespaces only. Its variable `operators`, if any, is told who the operator is. */ -}}
{{- define "exchange-kernel.policy" -}}
{{- $namespaces := .root.Values.watch.namespaces }}
{{- $own := printf "system:serviceaccount:%s:%s" .root.Release.Namespace (include "exchange-kernel.serviceAccountName" .root) }}
{{- $operators := prepend .root.Values.operatorUsers $own }}
{{- $mutates := .root.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" }}
{{- range .root.Files.Get .file | splitList "\n---\n" }}
{{- $document := fromYaml . }}
{{- if and $namespaces (hasSuffix "Binding" $document.kind) }}
{{- $names := dict "key" "kubernetes.io/metadata.name" "operator" "In" "values" $namespaces }}
{{- $_ := set $document.spec "matchResources" (dict "namespaceSelector" (dict "matchExpressions" (list $names))) }}
{{- end }}
{{- range $variable := $document.spec.variables }}
{{- if eq $variable.name "operators" }}
{{- $_ := set $variable "expression" (toJson $operators) }}
{{- end }}
{{- end }}
{{- if or $mutates (hasPrefix "Validating" $document.kind) }}
---
{{ toYaml $document }}
{{- end }}
{{- end }}
{{- end }}
