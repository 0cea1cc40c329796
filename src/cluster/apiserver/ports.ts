import type { Duplex } from 'node:stream';

/** How the API server reaches a node's agent for logs, exec, attach, port-forward and metrics. */
export interface NodeDialer {
  /** A connection on which HTTP/1.1 to the node's agent can be spoken (TLS already done). `unavailable` when it is down. */
  connect(nodeName: string, signal: AbortSignal): Promise<Duplex>;
}

/** Current use of nodes and pods, served as metrics.k8s.io. */
export interface MetricsSource {
  nodes(signal: AbortSignal): Promise<NodeUsage[]>;
  pods(namespace: string | undefined, signal: AbortSignal): Promise<PodUsage[]>;
}

/** One sample of a metric that a pod makes itself. Counters come as their growth per second. */
export interface PodMetric {
  readonly pod: string;
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly time: string;
  /** What a rate was taken over; 0 for values of an instant. */
  readonly windowMs: number;
}

/** Metrics of pods' own making, served as custom.metrics.k8s.io. */
export interface CustomMetricsSource {
  /** What is known of a namespace's pods; asking keeps it up to date. */
  metrics(namespace: string): PodMetric[];
  /** The metrics that are known, for discovery. */
  names(): string[];
}

export interface NodeUsage { name: string; time: string; windowMs: number; cpuNanocores: bigint; memoryBytes: number }

export interface PodUsage {
  namespace: string;
  name: string;
  time: string;
  windowMs: number;
  containers: { name: string; cpuNanocores: bigint; memoryBytes: number }[];
}
