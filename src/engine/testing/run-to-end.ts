import type { Engine } from '../engine.ts';
import type { ContainerSpec } from '../types.ts';
import { plainContainerSpec } from '../containers/plain-spec.ts';
import { randomHex } from '../../kernel/mod.ts';
import { busyboxImage } from './busybox-images.ts';

/** A container of the test image; `change` replaces parts of an ordinary one. */
export function busyboxSpec(script: string, change: Partial<ContainerSpec> = {}): ContainerSpec {
  return { ...plainContainerSpec({ name: `t-${randomHex(4)}`, image: busyboxImage, args: ['sh', '-c', script] }), stopTimeoutSeconds: 2, ...change };
}

/** Creates, starts, waits, reads the log, removes. */
export async function runToEnd(engine: Engine, spec: ContainerSpec, signal: AbortSignal): Promise<{ exitCode: number; isOomKilled: boolean; stdout: string; stderr: string }> {
  const { id } = await engine.containers.create(spec, signal);
  try {
    const exit = engine.containers.wait(id, 'next-exit', signal);
    await engine.containers.start(id, signal);
    const { exitCode } = await exit;
    const output = { stdout: '', stderr: '' };
    for await (const record of engine.containers.logs(id, { follow: false, stdout: true, stderr: true }, signal)) {
      output[record.stream] += record.text.toString() + (record.isPartial ? '' : '\n');
    }
    return { exitCode, isOomKilled: engine.containers.get(id).status.isOomKilled, ...output };
  } finally {
    await engine.containers.remove(id, { force: true, removeVolumes: true }, signal);
  }
}
