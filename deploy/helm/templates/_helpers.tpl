{{- define "name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "multica-admin" $name) -}}{{- $name = printf "%s-multica-admin" $name -}}{{- end -}}
{{- $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "secret" -}}
{{- if .Values.database.url -}}{{ include "name" . }}{{- else -}}{{ default (include "name" .) .Values.existingSecret }}{{- end -}}
{{- end -}}

{{- define "selector" -}}
app.kubernetes.io/name: multica-admin
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "metadata" -}}
name: {{ include "name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Sentences for values that cannot work together. */}}
{{- define "refusals" -}}
{{- $v := .Values -}}
{{- if and $v.database.url $v.existingSecret -}}
{{- fail "database.url and existingSecret are both set: keep one of them." -}}
{{- end -}}
{{- if and (gt (int $v.replicas) 1) $v.persistence.enabled -}}
{{- fail "Two replicas need ADMIN_DATABASE_URL, because a volume serves only one: set persistence.enabled=false and database.adminUrl, or name existingSecret." -}}
{{- end -}}
{{- if and $v.persistence.enabled $v.database.adminUrl -}}
{{- fail "database.adminUrl is set, so the volume would stay empty: set persistence.enabled=false." -}}
{{- end -}}
{{- if and $v.database.url (not $v.persistence.enabled) (not $v.database.adminUrl) -}}
{{- fail "Without a volume our own tables need a database: set database.adminUrl, or persistence.enabled=true." -}}
{{- end -}}
{{- if and $v.database.url (gt (int $v.replicas) 1) (not $v.secretKey) -}}
{{- fail "Two replicas need the same secretKey: set it, for example to the output of `openssl rand -hex 32`." -}}
{{- end -}}
{{- if and (or $v.statusToken $v.metricsToken) (not $v.database.url) -}}
{{- fail "statusToken and metricsToken go into the release's own Secret, and this release makes none: put STATUS_TOKEN and METRICS_TOKEN into yours." -}}
{{- end -}}
{{- if and (or $v.alerts.urls $v.alerts.heartbeatUrl) (not $v.database.url) -}}
{{- fail "alerts.urls and alerts.heartbeatUrl go into the release's own Secret, and this release makes none: put ALERT_URLS and HEARTBEAT_URL into yours." -}}
{{- end -}}
{{- if and $v.secretSettings (not $v.database.url) -}}
{{- fail "secretSettings go into the release's own Secret, and this release makes none: put them into yours by their names." -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled $v.database.url (not $v.metricsToken) -}}
{{- fail "The ServiceMonitor needs metricsToken: set it, for example to the output of `openssl rand -hex 32`." -}}
{{- end -}}
{{- if and $v.ingress.enabled (not $v.publicUrl) -}}
{{- fail "The ingress needs publicUrl, the address that people use." -}}
{{- end -}}
{{- end -}}
