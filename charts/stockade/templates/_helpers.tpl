{{/* Labels of every object. */}}
{{- define "stockade.labels" -}}
{{ include "stockade.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: stockade
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Labels that never change: one installation a cluster, so the names are fixed. */}}
{{- define "stockade.selector" -}}
app.kubernetes.io/name: stockade
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of the replicas, which the watchdog and the jobs of hooks do not have. */}}
{{- define "stockade.replicas" -}}
{{ include "stockade.selector" . }}
app.kubernetes.io/component: webhook
{{- end -}}

{{/* Labels of the node agents. */}}
{{- define "stockade.agent" -}}
{{ include "stockade.selector" . }}
app.kubernetes.io/component: agent
{{- end -}}

{{- define "stockade.image" -}}
{{- include "stockade.reference" (dict "image" .Values.image "root" .) -}}
{{- end -}}

{{/* Reference of an image; the arguments are its values, and the root. */}}
{{- define "stockade.reference" -}}
{{- with .image -}}
{{- if .registry }}{{ .registry }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.root.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* What every Pod of the chart has: where it may run, as whom, from which image. */}}
{{- define "stockade.pod" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{- define "stockade.container" -}}
image: {{ include "stockade.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{/* Annotations of the permissions that hooks of an uninstallation have; the arguments are the values and a weight. */}}
{{- define "stockade.uninstall" -}}
helm.sh/hook: pre-delete{{ if not .values.crds.keep }},post-delete{{ end }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
