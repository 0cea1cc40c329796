import type { Digest, k8s, Stored } from '../../api/mod.ts';
import type { PodContainer, Sandbox } from './ports.ts';

/** What an operation failed with, in the vocabulary of container waiting reasons and events. */
export interface OperationFailure {
  readonly reason: string;
  readonly message: string;
  readonly failures: number;
  /** Milliseconds since the epoch; the operation is tried again then. */
  readonly retryAtMs: number;
}

/** The newest answers of a running container's probes. */
export interface ProbeVerdict {
  /** The startup probe has succeeded, or there is none. */
  readonly isStarted: boolean;
  readonly isReady: boolean;
  /** Set when the liveness or startup probe failed often enough: the container has to be replaced. */
  readonly mustRestart?: { readonly probe: 'liveness' | 'startup'; readonly message: string; readonly sinceMs: number };
}

/** Why a pod is to be ended although nobody deleted it. */
export interface PodEnding {
  readonly reason: string;
  readonly message: string;
  /** The pod's grace period is cut to this. */
  readonly graceSeconds?: number;
  /** No fault of the pod: it says so by the condition DisruptionTarget. */
  readonly isDisruption?: boolean;
}

/** Everything the planner decides from. All of it was observed; nothing in it changes while a plan is made. */
export interface PodView {
  readonly pod: Stored<k8s.Pod>;
  readonly nowMs: number;
  readonly nodeIp: string;
  /** The pod's object is gone from the API; only its remains are to be removed. */
  readonly isGone: boolean;
  /** Set when this node refuses the pod or its time is over; it becomes Failed and stays until somebody deletes it. */
  readonly ending: PodEnding | undefined;
  /** When the node first saw that the pod is to end; the grace period counts from here. */
  readonly endingSinceMs: number | undefined;
  readonly sandbox: Sandbox | undefined;
  /** The pod's containers on this node, of every attempt. */
  readonly containers: readonly PodContainer[];
  /** Container name → the image it will run and the attempt it was checked for. */
  readonly images: ReadonlyMap<string, { readonly attempt: number; readonly imageId: Digest }>;
  readonly areVolumesReady: boolean;
  /** Nothing of the pod's volumes is left; at first that is not known, also not after a restart. */
  readonly areVolumesReleased: boolean;
  /** The API was asked to remove the pod's object; finalizers may keep it. */
  readonly isDeleteRequested: boolean;
  /** Container id → verdict; a container without an entry has not been probed yet. */
  readonly probes: ReadonlyMap<string, ProbeVerdict>;
  /** Operations (see `operationOf`) that are under way. */
  readonly running: ReadonlySet<string>;
  readonly failures: ReadonlyMap<string, OperationFailure>;
  /** No Service on this node sends new connections to the pod any more. */
  readonly isDrained: boolean;
  /** Container id → the end of its termination message file, read once after it exited. */
  readonly terminationMessages: ReadonlyMap<string, string>;
}

/** One step towards what the pod asks for. Steps of different operations run side by side. */
export type PodAction =
  | { readonly type: 'prepare-volumes' }
  | { readonly type: 'create-sandbox' }
  | { readonly type: 'ensure-image'; readonly container: string; readonly attempt: number }
  | { readonly type: 'start-container'; readonly container: string; readonly attempt: number; readonly backoffSeconds: number; readonly imageId: Digest }
  | { readonly type: 'stop-container'; readonly container: string; readonly id: string; readonly deadlineMs: number; readonly reason: string }
  | { readonly type: 'remove-container'; readonly container: string; readonly id: string }
  | { readonly type: 'drain' }
  | { readonly type: 'remove-sandbox' }
  | { readonly type: 'release-volumes' }
  | { readonly type: 'delete-pod' };

/** The operation an action belongs to: of one operation only one action runs at a time, and failures back off by operation. */
export function operationOf(action: PodAction): string {
  switch (action.type) {
    case 'ensure-image':
      return `image:${action.container}`;
    case 'start-container':
      return `container:${action.container}`;
    case 'remove-container':
      return `remove:${action.id}`;
    case 'stop-container':
      // A shorter deadline is a new operation: `kubectl delete --now` overtakes a graceful stop.
      return `stop:${action.id}:${action.deadlineMs}`;
    default:
      return action.type;
  }
}

/** The label that carries the delay before the attempt after this one, so that back-off survives a restart of the agent. */
export const backoffLabel = 'gantry.dev/restart-backoff-seconds';

/** The attempt of that container with the highest number, if any. */
export function latestAttempt(containers: readonly PodContainer[], name: string): PodContainer | undefined {
  let latest: PodContainer | undefined;
  for (const container of containers) if (container.name === name && (latest === undefined || container.attempt > latest.attempt)) latest = container;
  return latest;
}

/** The attempt before the latest one, if it is still there. */
export function previousAttempt(containers: readonly PodContainer[], name: string): PodContainer | undefined {
  const latest = latestAttempt(containers, name);
  return latest === undefined ? undefined : latestAttempt(containers.filter((container) => container.attempt < latest.attempt), name);
}

/** Init, application and ephemeral containers. Their names are unique in a pod. */
export function allContainers(spec: k8s.PodSpec | undefined): readonly k8s.Container[] {
  return spec === undefined ? [] : [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
}
