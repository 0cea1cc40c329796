import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type k8s, resources, type Stored } from '../../src/api/mod.ts';
import type { KubeClient } from '../../src/client/mod.ts';
import { pick } from '../../src/engine/testing/fault-plan.ts';
import { isError, pollUntil, systemClock } from '../../src/kernel/mod.ts';

const namespace = 'default';
const deployment = { namespace, name: 'churned' };
const patience = { timeoutMs: 120_000, intervalMs: 200 };

/** Pods that come and go: alone, and of a Deployment that is scaled and rolled. Each start of a container leaves a line in a file named by its pod. */
export class Churn {
  readonly #client: KubeClient;
  readonly #random: () => number;
  readonly #folder: string;
  #count = 0;

  constructor(client: KubeClient, random: () => number, folder: string) {
    this.#client = client;
    this.#random = random;
    this.#folder = folder;
  }

  async begin(signal: AbortSignal): Promise<void> {
    const labels = { app: 'churned' };
    await this.#client.create<k8s.Deployment>(resources.deployments, { metadata: deployment, spec: { replicas: 2, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: this.#spec('0') } } }, signal);
  }

  async run(signal: AbortSignal): Promise<void> {
    const steps = [() => this.#createPod(signal), () => this.#deletePod(signal), () => this.#change({ replicas: 1 + Math.floor(this.#random() * 4) }, signal), () => this.#change({ template: { spec: this.#spec(String(this.#count)) } }, signal)];
    while (!signal.aborted) {
      this.#count += 1;
      try {
        await pick(this.#random, steps)();
      } catch (error) {
        if (!signal.aborted && !isError(error, 'unavailable', 'timeout', 'cancelled', 'conflict')) throw error;
      }
      await systemClock.sleep(100 + this.#random() * 300, signal).catch(() => undefined);
    }
  }

  /** All that is wanted runs, once; what is not wanted is gone. */
  async verify(signal: AbortSignal): Promise<void> {
    const pods = await pollUntil('all pods to run, and no others', async () => {
      const { spec, status, metadata } = await this.#client.get(resources.deployments, deployment, signal);
      const { items } = await this.#client.list(resources.pods, { namespace }, signal);
      const owned = items.filter(({ metadata: { labels } }) => labels?.['app'] === 'churned');
      const isSettled = status?.observedGeneration === metadata.generation && status?.updatedReplicas === spec?.replicas && status?.availableReplicas === spec?.replicas && owned.length === spec?.replicas;
      return isSettled && items.every(runs) ? items : undefined;
    }, patience, signal);
    const present = new Map(pods.map((pod) => [pod.metadata.uid, pod]));
    for (const uid of await readdir(this.#folder)) {
      const starts = (await readFile(join(this.#folder, uid), 'utf8')).split('\n').length - 1;
      assert.equal(starts, 1, `a container of pod ${present.get(uid)?.metadata.name ?? uid} was started ${starts} times`);
    }
    for (const uid of present.keys()) assert.equal((await readFile(join(this.#folder, uid), 'utf8')).length > 0, true);
  }

  async end(signal: AbortSignal): Promise<void> {
    await this.#client.delete(resources.deployments, deployment, {}, signal);
    const { items } = await this.#client.list(resources.pods, { namespace }, signal);
    for (const { metadata } of items) await this.#client.delete(resources.pods, { namespace, name: metadata.name }, {}, signal).catch(() => undefined);
    await pollUntil('the last pod to go', async () => ((await this.#client.list(resources.pods, { namespace }, signal)).items.length === 0 ? true : undefined), patience, signal);
  }

  async #createPod(signal: AbortSignal): Promise<void> {
    await this.#client.create<k8s.Pod>(resources.pods, { metadata: { namespace, name: `alone-${this.#count}`, labels: { app: 'alone' } }, spec: this.#spec('alone') }, signal);
  }

  async #deletePod(signal: AbortSignal): Promise<void> {
    const { items } = await this.#client.list(resources.pods, { namespace, labelSelector: 'app=alone' }, signal);
    if (items.length === 0) return;
    await this.#client.delete(resources.pods, { namespace, name: pick(this.#random, items).metadata.name }, {}, signal).catch((error: unknown) => {
      if (!isError(error, 'not-found')) throw error;
    });
  }

  async #change(spec: object, signal: AbortSignal): Promise<void> {
    await this.#client.patch(resources.deployments, deployment, { type: 'strategic', body: { spec } }, signal);
  }

  #spec(version: string): k8s.PodSpec {
    return {
      terminationGracePeriodSeconds: 0,
      volumes: [{ name: 'starts', hostPath: { path: this.#folder } }],
      containers: [{
        name: 'main',
        image: 'busybox',
        imagePullPolicy: 'IfNotPresent',
        command: ['sh', '-c', 'echo start >> /starts/$UID_OF_POD; exec sleep 100000'],
        env: [{ name: 'UID_OF_POD', valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } } }, { name: 'VERSION', value: version }],
        volumeMounts: [{ name: 'starts', mountPath: '/starts' }],
      }],
    };
  }
}

function runs({ metadata, status }: Stored<k8s.Pod>): boolean {
  return metadata.deletionTimestamp === undefined && status?.phase === 'Running' && status.containerStatuses?.every(({ ready, restartCount }) => ready && restartCount === 0) === true;
}
