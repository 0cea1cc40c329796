import type { Readable, Writable } from 'node:stream';
import type { KubeList, KubeObject, ObjectRef, ResourceType, Stored, WatchEvent } from '../api/mod.ts';

/** The Kubernetes API as our own code uses it. Errors are GantryErrors with the code of the Status answer. */
export interface KubeClient {
  get<T extends KubeObject>(type: ResourceType<T>, ref: ObjectRef, signal: AbortSignal): Promise<Stored<T>>;
  list<T extends KubeObject>(type: ResourceType<T>, options: ListOptions, signal: AbortSignal): Promise<KubeList<T>>;
  /** Ends when the server closes the stream; `conflict` with details.reason `Expired` when the revision is too old. */
  watch<T extends KubeObject>(type: ResourceType<T>, options: WatchOptions, signal: AbortSignal): AsyncIterable<WatchEvent<T>>;
  create<T extends KubeObject>(type: ResourceType<T>, object: T, signal: AbortSignal): Promise<Stored<T>>;
  /** Replaces the object; `conflict` when its resourceVersion is not the current one. */
  update<T extends KubeObject>(type: ResourceType<T>, object: T, signal: AbortSignal): Promise<Stored<T>>;
  updateStatus<T extends KubeObject>(type: ResourceType<T>, object: T, signal: AbortSignal): Promise<Stored<T>>;
  patch<T extends KubeObject>(type: ResourceType<T>, ref: ObjectRef, patch: Patch, signal: AbortSignal): Promise<Stored<T>>;
  /** A no-op result (undefined) when the object does not exist. */
  delete<T extends KubeObject>(type: ResourceType<T>, ref: ObjectRef, options: DeleteOptions, signal: AbortSignal): Promise<void>;
  /** Any other call, for example `POST …/pods/x/binding`. The body and answer are JSON. */
  request(method: string, path: string, body: unknown, signal: AbortSignal): Promise<unknown>;
  /** The raw bytes of any GET, as they arrive, for example the log of an image build. */
  stream(path: string, signal: AbortSignal): Promise<Readable>;
  /** `kubectl exec` over WebSocket v5. Resolves with the exit code. */
  exec(pod: ObjectRef, options: PodExecOptions, signal: AbortSignal): Promise<{ exitCode: number }>;
  /** `kubectl logs`: the raw bytes. */
  logs(pod: ObjectRef, options: PodLogOptions, signal: AbortSignal): Promise<Readable>;
}

export interface ListOptions {
  /** All namespaces when absent. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  limit?: number;
  continue?: string;
}

export interface WatchOptions extends ListOptions { resourceVersion: string }

export interface Patch {
  type: 'json' | 'merge' | 'strategic' | 'apply';
  body: unknown;
  subresource?: 'status' | 'scale';
  /** For `apply`. */
  fieldManager?: string;
  force?: boolean;
}

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  preconditions?: { uid?: string; resourceVersion?: string };
}

export interface PodExecOptions {
  container: string;
  command: string[];
  stdin?: Readable;
  stdout?: Writable;
  stderr?: Writable;
}

export interface PodLogOptions {
  container?: string;
  follow?: boolean;
  previous?: boolean;
  timestamps?: boolean;
  tailLines?: number;
  sinceSeconds?: number;
}
