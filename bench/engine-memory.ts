import { loadavg } from 'node:os';
import type { Instance } from '../test/story/instance.ts';
import { busyboxContext } from './contexts.ts';
import { DockerHttp } from './docker-http.ts';
import { type Held, HeapInspector } from './heap-inspector.ts';

const cycles = 2000;
/** As many as a machine of two cores starts at once without waiting for itself. */
const lanes = 4;
const warmUpCycles = 400;
const sampleCycles = 200;
/** 1000 lines of 100 bytes a second for an hour. */
const streamBytes = 3600 * 1000 * 100;
/** Growth that counts as none, in bytes per 100 cycles: of live objects, and of the process, whose allocator has moods. */
const flat = { heapBytes: 32 * 1024, rssBytes: 256 * 1024 };

type Show = (what: string) => Promise<Held>;

/** What the agent's memory does over 2,000 start-stop cycles, an hour's worth of followed log, and a reader that does not read. */
export async function benchEngineMemory(instance: Instance, signal: AbortSignal): Promise<void> {
  await using context = await busyboxContext();
  await instance.docker(['build', '-q', '-t', 'bench/busybox', context.folder], signal);
  using api = new DockerHttp(instance.value('DOCKER_HOST').replace('unix://', ''));
  const { agent } = await instance.processes(signal);
  using inspector = await HeapInspector.open(agent, signal);
  console.log(`\nengine-memory: the agent's memory after collections (load average ${loadavg()[0]?.toFixed(1) ?? ''})`);
  const show: Show = async (what) => {
    const held = await inspector.collect();
    console.log(`  ${what.padEnd(64)} heap ${mib(held.heapBytes)}, external ${mib(held.externalBytes)}, resident ${mib(held.rssBytes)} MiB`);
    return held;
  };
  await show('before');
  const startedAt = performance.now();
  const samples: { cycle: number; held: Held }[] = [];
  for (let done = 0; done < cycles; done += sampleCycles) {
    await Promise.all(Array.from({ length: lanes }, async () => {
      for (let cycle = 0; cycle < sampleCycles / lanes; cycle += 1) await cycleOnce(api, signal);
    }));
    samples.push({ cycle: done + sampleCycles, held: await show(`after ${done + sampleCycles} start-stop cycles, ${((performance.now() - startedAt) / 1000).toFixed(0)} s`) });
  }
  judge(samples.filter(({ cycle }) => cycle >= warmUpCycles));
  await streamLog(api, show, signal);
  await ignoreOutput(api, show, signal);
}

/** The verdict: least squares over what was held after the warm-up. */
function judge(samples: readonly { cycle: number; held: Held }[]): void {
  for (const [name, what] of [['heapBytes', 'heap'], ['rssBytes', 'resident']] as const) {
    const slope = slopeOf(samples.map(({ cycle, held }) => [cycle / 100, held[name]]));
    const isFlat = slope <= flat[name];
    if (!isFlat) process.exitCode = 1;
    console.log(`  ${what}: ${(slope / 1024).toFixed(1)} KiB per 100 cycles after ${warmUpCycles}: ${isFlat ? 'flat' : `grows (more than ${flat[name] / 1024} KiB)`}`);
  }
}

function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (of: (point: readonly [number, number]) => number): number => points.reduce((total, point) => total + of(point), 0) / points.length;
  const [x, y] = [mean(([value]) => value), mean(([, value]) => value)];
  return mean((point) => (point[0] - x) * (point[1] - y)) / mean((point) => (point[0] - x) ** 2);
}

function mib(bytes: number): string {
  return (bytes / (1 << 20)).toFixed(1).padStart(6);
}

async function cycleOnce(api: DockerHttp, signal: AbortSignal): Promise<void> {
  const id = await api.create(['/bin/sleep', '100000'], {}, signal);
  await api.start(id, signal);
  await api.call('POST', `/containers/${id}/kill`, undefined, signal);
  await api.wait(id, signal);
  await api.remove(id, signal);
}

/** A follower gets all that a container prints in an hour at 100 kB/s, as fast as it comes. */
async function streamLog(api: DockerHttp, show: Show, signal: AbortSignal): Promise<void> {
  const id = await api.create(['/bin/sh', '-c', `yes ${'0123456789'.repeat(10).slice(1)} | head -c ${streamBytes}`], { LogConfig: { Type: 'json-file', Config: { 'max-size': '1g', 'max-file': '2' } } }, signal);
  const startedAt = performance.now();
  await api.start(id, signal);
  const log = await api.open('GET', `/containers/${id}/logs?follow=1&stdout=1`, undefined, signal);
  let [received, shown] = [0, 0];
  for await (const chunk of log) {
    received += (chunk as Buffer).length;
    if (received - shown < streamBytes / 4) continue;
    shown = received;
    await show(`after ${(received / 1e6).toFixed(0)} MB of followed log`);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(`  followed log: ${(received / 1e6).toFixed(0)} MB with frames of ${(streamBytes / 1e6).toFixed(0)} MB written, in ${seconds.toFixed(1)} s, ${(received / 1e6 / seconds).toFixed(0)} MB/s`);
  await api.remove(id, signal);
}

/** An attached client that never reads must neither stop the container nor fill the agent. */
async function ignoreOutput(api: DockerHttp, show: Show, signal: AbortSignal): Promise<void> {
  const id = await api.create(['/bin/sh', '-c', `yes ${'0123456789'.repeat(10).slice(1)} | head -c ${streamBytes}`], {}, signal);
  const reader = await api.open('POST', `/containers/${id}/attach?stream=1&stdout=1&logs=1`, undefined, signal);
  reader.on('error', () => undefined);
  reader.pause();
  await show('before a reader that does not read');
  await api.start(id, signal);
  await api.wait(id, signal);
  await show(`after ${(streamBytes / 1e6).toFixed(0)} MB that it did not read`);
  reader.destroy();
  await api.remove(id, signal);
}
