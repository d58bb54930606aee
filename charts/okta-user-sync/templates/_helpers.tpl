{{/* Name of everything that the release makes. */}}
{{- define "okta-user-sync.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What tells the pods of this release from all others; cannot change. */}}
{{- define "okta-user-sync.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "okta-user-sync.labels" -}}
{{ include "okta-user-sync.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "okta-user-sync.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "okta-user-sync.name" .) -}}
{{- else -}}
{{- required "serviceAccount.name must be given when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "okta-user-sync.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* An address as it stands before a port: IPv6 in brackets. */}}
{{- define "okta-user-sync.listen" -}}
{{- if contains ":" . -}}
{{- printf "[%s]" (trimAll "[]" .) -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}
