import type { k8s } from '../../api/mod.ts';
import { containerIdScheme } from './container-status.ts';
import type { NodeServices } from './node-services.ts';
import type { PodView, ProbeVerdict } from './pod-view.ts';
import type { PodContainer } from './ports.ts';
import { ContainerProber } from './probes/container-prober.ts';
import { isSidecar } from './restart-policy.ts';

/** The probes of a pod's running containers: one prober for each, ended with the container or when the pod ends. */
export class PodProbers {
  readonly #services: NodeServices;
  readonly #pod: () => k8s.Pod;
  readonly #onChange: () => void;
  readonly #probers = new Map<string, { prober: ContainerProber; stop: AbortController }>();

  constructor(services: NodeServices, pod: () => k8s.Pod, onChange: () => void) {
    this.#services = services;
    this.#pod = pod;
    this.#onChange = onChange;
  }

  get verdicts(): ReadonlyMap<string, ProbeVerdict> {
    return new Map([...this.#probers].map(([id, { prober }]) => [id, prober.verdict]));
  }

  /** Starts and ends probers so that they are those of the view. Readiness is still probed while the pod drains. */
  follow(view: PodView, signal: AbortSignal): void {
    const running = view.containers.filter(({ state }) => state === 'running');
    for (const [id, { stop }] of this.#probers) {
      if (running.some((container) => container.id === id)) continue;
      stop.abort();
      this.#probers.delete(id);
    }
    for (const container of running) if (!this.#probers.has(container.id)) this.#start(view, container, signal);
  }

  #start(view: PodView, running: PodContainer, signal: AbortSignal): void {
    const spec = view.pod.spec;
    const container = [...(spec?.initContainers ?? []).filter(isSidecar), ...(spec?.containers ?? [])].find(({ name }) => name === running.name);
    const ip = spec?.hostNetwork === true ? view.nodeIp : view.sandbox?.ip;
    if (container === undefined || ip === undefined) return;
    if (container.startupProbe === undefined && container.readinessProbe === undefined && container.livenessProbe === undefined) return;
    const { runtime, clock, events, log } = this.#services;
    const stop = new AbortController();
    const prober = new ContainerProber(runtime, clock, {
      target: { containerId: running.id, container, address: ip },
      startedAtMs: Date.parse(running.startedAt ?? running.createdAt),
      initial: knownVerdict(view.pod, running),
      onChange: this.#onChange,
      onFailure: (kind, message) => {
        const name = `${kind[0]?.toUpperCase() ?? ''}${kind.slice(1)}`;
        events.record(this.#pod(), 'Warning', 'Unhealthy', `${name} probe failed: ${message}`, `spec.containers{${running.name}}`);
      },
    });
    this.#probers.set(running.id, { prober, stop });
    const both = AbortSignal.any([signal, stop.signal]);
    prober.run(both).catch((error: unknown) => {
      if (!both.aborted) log.error('prober failed', { container: running.name, err: error });
    });
  }
}

/** What the API says of this very container: after a restart of the agent, what was ready stays ready. */
function knownVerdict(pod: k8s.Pod, running: PodContainer): ProbeVerdict | undefined {
  const all = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const known = all.find(({ containerID }) => containerID === containerIdScheme + running.id);
  return known?.state?.running === undefined || known.started !== true ? undefined : { isStarted: true, isReady: known.ready };
}
