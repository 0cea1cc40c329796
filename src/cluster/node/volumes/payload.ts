import type { k8s } from '../../../api/mod.ts';
import { GantryError } from '../../../kernel/mod.ts';
import { type ConfigSource, readEntries } from '../config-source.ts';
import { fieldText, type PodFacts, resourceText } from '../downward.ts';
import type { Payload, PayloadFile } from './atomic-folder.ts';

/** What a configuration volume shows, and when a token in it has to be renewed. */
export interface VolumePayload { readonly payload: Payload; readonly renewAtMs?: number }

const defaultMode = 0o644;

/** Whether the volume is made of API objects and follows them. */
export function isConfigVolume(volume: k8s.Volume): boolean {
  return volume.configMap !== undefined || volume.secret !== undefined || volume.projected !== undefined || volume.downwardAPI !== undefined;
}

/** Reads everything the volume shows. `not-found` names a missing object or key that is not optional. */
export async function readPayload(source: ConfigSource, facts: PodFacts, volume: k8s.Volume, signal: AbortSignal): Promise<VolumePayload> {
  const { configMap, secret, downwardAPI, projected } = volume;
  const reader = new PayloadReader(source, facts, (configMap ?? secret ?? downwardAPI ?? projected)?.defaultMode ?? defaultMode, signal);
  if (configMap !== undefined) await reader.addEntries('ConfigMap', configMap);
  if (secret !== undefined) await reader.addEntries('Secret', { ...secret, name: secret.secretName });
  if (downwardAPI !== undefined) reader.addDownward(downwardAPI.items);
  for (const one of projected?.sources ?? []) {
    if (one.configMap !== undefined) await reader.addEntries('ConfigMap', one.configMap);
    if (one.secret !== undefined) await reader.addEntries('Secret', one.secret);
    if (one.downwardAPI !== undefined) reader.addDownward(one.downwardAPI.items);
    if (one.serviceAccountToken !== undefined) await reader.addToken(one.serviceAccountToken);
  }
  return reader.result();
}

class PayloadReader {
  readonly #source: ConfigSource;
  readonly #facts: PodFacts;
  readonly #mode: number;
  readonly #signal: AbortSignal;
  readonly #files = new Map<string, PayloadFile>();
  #renewAtMs: number | undefined;

  constructor(source: ConfigSource, facts: PodFacts, mode: number, signal: AbortSignal) {
    this.#source = source;
    this.#facts = facts;
    this.#mode = mode;
    this.#signal = signal;
  }

  async addEntries(kind: 'ConfigMap' | 'Secret', ref: { name?: string; optional?: boolean; items?: k8s.KeyToPath[] }): Promise<void> {
    const namespace = this.#facts.pod.metadata?.namespace ?? 'default';
    const entries = await readEntries(this.#source, kind, namespace, ref, this.#signal);
    if (entries === undefined) return;
    const items = ref.items ?? [...entries.keys()].map((key): k8s.KeyToPath => ({ key, path: key }));
    for (const { key, path, mode } of items) {
      const data = entries.get(key);
      if (data !== undefined) this.#files.set(path, { data, mode: mode ?? this.#mode });
      else if (ref.optional !== true) throw new GantryError('not-found', `${kind.toLowerCase()} "${ref.name ?? ''}" has no key ${key}`);
    }
  }

  addDownward(items: readonly k8s.DownwardAPIVolumeFile[] = []): void {
    for (const { path, mode, fieldRef, resourceFieldRef } of items) {
      const text = fieldRef !== undefined ? fieldText(this.#facts, fieldRef.fieldPath) : this.#resource(resourceFieldRef);
      this.#files.set(path, { data: Buffer.from(text), mode: mode ?? this.#mode });
    }
  }

  async addToken(request: k8s.ServiceAccountTokenProjection): Promise<void> {
    const startedAtMs = Date.now();
    const { token, expiresAtMs } = await this.#source.serviceAccountToken(this.#facts.pod, request, this.#signal);
    // Renewed at four fifths of its life, as Kubernetes' node agent does.
    const renewAtMs = startedAtMs + (expiresAtMs - startedAtMs) * 0.8;
    this.#renewAtMs = Math.min(renewAtMs, this.#renewAtMs ?? Infinity);
    this.#files.set(request.path, { data: Buffer.from(token), mode: 0o644 });
  }

  result(): VolumePayload {
    return { payload: this.#files, ...(this.#renewAtMs === undefined ? {} : { renewAtMs: this.#renewAtMs }) };
  }

  #resource(selector: k8s.ResourceFieldSelector | undefined): string {
    if (selector === undefined) throw new GantryError('invalid', 'a downward API item needs fieldRef or resourceFieldRef');
    return resourceText(this.#facts.pod, selector, undefined, this.#source.allocatable);
  }
}
