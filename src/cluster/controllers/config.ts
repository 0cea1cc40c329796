/** Settings of the controllers. Times are in seconds where Kubernetes' own are, else in milliseconds as named. */
export interface ControllerSettings {
  /** How often an autoscaler looks at its metrics. Default 5 s: short, as reading them costs little here. */
  readonly autoscalerSyncMs: number;
  /** Scale-down waits this long after the last higher recommendation, unless the autoscaler's behavior says otherwise. Default 300 s. */
  readonly autoscalerDownscaleStabilizationMs: number;
  /** A node whose Lease was not renewed for this long is taken for lost. Default 40 s. */
  readonly nodeMonitorGraceMs: number;
  /** Events are deleted this long after they last happened. Default 1 hour. */
  readonly eventTtlMs: number;
  /** A Job's next pod waits this long after a failed one, and twice as long after each further one, at most 10 minutes. Default 10 s. */
  readonly jobBackoffMs: number;
  /** Host ports that no Service may take, as `tcp/22`. Default: secure shell and the cluster's name server. */
  readonly reservedPorts: readonly string[];
  /** Whether the kinds of the Gateway API are served. Default no. */
  readonly hasGateways: boolean;
  /** PEM of the API server's authority, published to every namespace as ConfigMap `kube-root-ca.crt`. Default: not published. */
  readonly clusterCa?: string;
  /** Controllers that are not run, by name; for clusters that have their own. Default: none. */
  readonly disabled: readonly string[];
}

export const defaultControllerSettings: ControllerSettings = {
  autoscalerSyncMs: 5_000,
  autoscalerDownscaleStabilizationMs: 300_000,
  nodeMonitorGraceMs: 40_000,
  eventTtlMs: 3_600_000,
  jobBackoffMs: 10_000,
  reservedPorts: ['tcp/22', 'tcp/53', 'udp/53'],
  hasGateways: false,
  disabled: [],
};
