{{- define "byoi.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains "byoi" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-byoi" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "byoi.selector" -}}
app.kubernetes.io/name: byoi
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "byoi.labels" -}}
{{ include "byoi.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "byoi.image" -}}
{{- $image := .image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "byoi.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "byoi.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "byoi.consoleUrl" -}}
{{- if .Values.agent.consoleUrl -}}
{{- .Values.agent.consoleUrl -}}
{{- else if .Values.console.origin -}}
{{- .Values.console.origin -}}
{{- else -}}
{{- fail "say where the console is: agent.consoleUrl, or console.origin for that of this release" -}}
{{- end -}}
{{- end -}}

{{/* A setting as text. Helm has each number of a file as a float: 1048576 would be 1.048576e+06. */}}
{{- define "byoi.setting" -}}
{{- $value := . -}}
{{- if kindIs "float64" . }}{{ if eq . (float64 (int64 .)) }}{{ $value = int64 . }}{{ end }}{{ end -}}
{{ $value | quote }}
{{- end }}

{{- define "byoi.agentPod" -}}
metadata:
  labels:
    {{- include "byoi.labels" (dict "root" . "component" "agent") | nindent 4 }}
  {{- with .Values.agent.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  # SIGTERM lets requests under way end; the engine goes after them.
  terminationGracePeriodSeconds: {{ add .Values.agent.drainSeconds 60 }}
  securityContext:
    {{- include "byoi.podSecurity" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.agent.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .Values.agent.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.agent.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.agent.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.agent.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if eq .Values.agent.workload "DaemonSet" }}
  initContainers:
    # A folder of the machine is root's when it is made, and no other means changes that.
    - name: folders
      image: {{ include "byoi.image" (dict "root" . "image" .Values.agent.image) }}
      imagePullPolicy: {{ .Values.agent.image.pullPolicy }}
      command: [chown, "10001:10001", /var/lib/byoi, /var/cache/byoi]
      securityContext:
        runAsNonRoot: false
        runAsUser: 0
        runAsGroup: 0
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
          add: [CHOWN]
      resources:
        requests: { cpu: 10m, memory: 16Mi }
        limits: { memory: 64Mi }
      volumeMounts:
        - { name: state, mountPath: /var/lib/byoi }
        - { name: cache, mountPath: /var/cache/byoi }
  {{- end }}
  containers:
    - name: agent
      image: {{ include "byoi.image" (dict "root" . "image" .Values.agent.image) }}
      imagePullPolicy: {{ .Values.agent.image.pullPolicy }}
      env:
        - name: BYOI_CONSOLE
          value: {{ include "byoi.consoleUrl" . | quote }}
        - name: BYOI_DRAIN_SECONDS
          value: {{ .Values.agent.drainSeconds | quote }}
        - name: BYOI_LOG_FORMAT
          value: json
        - name: BYOI_LOG_FILE
          value: none
        {{- with .Values.agent.engine }}
        - name: BYOI_ENGINE
          value: {{ . | quote }}
        {{- end }}
        {{- with .Values.agent.model }}
        - name: BYOI_MODEL
          value: {{ . | quote }}
        {{- end }}
        {{- if .Values.agent.joinToken.existingSecret }}
        - name: BYOI_JOIN_TOKEN_FILE
          value: /run/secrets/byoi/{{ .Values.agent.joinToken.key }}
        {{- end }}
        {{- range $name, $value := .Values.agent.settings }}
        - name: BYOI_{{ $name | upper }}
          value: {{ include "byoi.setting" $value }}
        {{- end }}
      securityContext:
        {{- include "byoi.security" . | nindent 8 }}
      resources:
        {{- $resources := deepCopy .Values.agent.resources }}
        {{- if .Values.agent.gpus }}
        {{- $limits := merge (dict .Values.agent.gpuResource .Values.agent.gpus) ($resources.limits | default dict) }}
        {{- $resources = merge (dict "limits" $limits) $resources }}
        {{- end }}
        {{- toYaml $resources | nindent 8 }}
      # The process alone: what an engine or a link lacks is mended by the node, not by a restart.
      livenessProbe:
        exec:
          command: [byoi, status, --healthy]
        initialDelaySeconds: 60
        periodSeconds: 30
        timeoutSeconds: 15
        failureThreshold: 4
      readinessProbe:
        exec:
          command: [byoi, status, --healthy]
        periodSeconds: 30
        timeoutSeconds: 15
      volumeMounts:
        - { name: state, mountPath: /var/lib/byoi }
        - { name: cache, mountPath: /var/cache/byoi }
        - { name: runtime, mountPath: /run/byoi }
        - { name: tmp, mountPath: /tmp }
        - { name: shared-memory, mountPath: /dev/shm }
        {{- if .Values.agent.joinToken.existingSecret }}
        - { name: join-token, mountPath: /run/secrets/byoi, readOnly: true }
        {{- end }}
  volumes:
    {{- if eq .Values.agent.workload "DaemonSet" }}
    - name: state
      hostPath:
        path: {{ .Values.agent.state.hostPath }}
        type: DirectoryOrCreate
    - name: cache
      hostPath:
        path: {{ .Values.agent.cache.hostPath }}
        type: DirectoryOrCreate
    {{- end }}
    - name: runtime
      emptyDir: { medium: Memory, sizeLimit: 64Mi }
    - name: tmp
      emptyDir: {}
    - name: shared-memory
      emptyDir: { medium: Memory, sizeLimit: {{ .Values.agent.sharedMemory }} }
    {{- if .Values.agent.joinToken.existingSecret }}
    - name: join-token
      secret:
        secretName: {{ .Values.agent.joinToken.existingSecret }}
        defaultMode: 0440
        items:
          - key: {{ .Values.agent.joinToken.key }}
            path: {{ .Values.agent.joinToken.key }}
    {{- end }}
{{- end -}}
