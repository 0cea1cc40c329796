import { loadavg } from 'node:os';
import type { Instance } from '../test/story/instance.ts';
import { busyboxContext } from './contexts.ts';
import { DockerHttp } from './docker-http.ts';
import { costsOf } from './process-costs.ts';

const cycles = 2000;
const warmUpCycles = 200;
/** 1000 lines of 100 bytes a second for an hour. */
const streamBytes = 3600 * 1000 * 100;

/** What the agent's memory does over 2,000 start-stop cycles, an hour's worth of followed log, and a reader that does not read. */
export async function benchEngineMemory(instance: Instance, signal: AbortSignal): Promise<void> {
  await using context = await busyboxContext();
  await instance.docker(['build', '-q', '-t', 'bench/busybox', context.folder], signal);
  using api = new DockerHttp(instance.value('DOCKER_HOST').replace('unix://', ''));
  const { agent } = await instance.processes(signal);
  console.log(`\nengine-memory: resident memory of the agent (load average ${loadavg()[0]?.toFixed(1) ?? ''})`);
  const show = async (what: string): Promise<number> => {
    const { rssBytes } = await costsOf([agent]);
    console.log(`  ${what.padEnd(64)} ${(rssBytes / (1 << 20)).toFixed(0).padStart(5)} MiB`);
    return rssBytes;
  };
  await show('before');
  for (let cycle = 1; cycle <= cycles; cycle += 1) {
    await cycleOnce(api, signal);
    if (cycle === warmUpCycles || cycle % 600 === 200) await show(`after ${cycle} start-stop cycles`);
  }
  await streamLog(api, show, signal);
  await ignoreOutput(api, show, signal);
}

async function cycleOnce(api: DockerHttp, signal: AbortSignal): Promise<void> {
  const id = await api.create(['/bin/sleep', '100000'], {}, signal);
  await api.start(id, signal);
  await api.call('POST', `/containers/${id}/kill`, undefined, signal);
  await api.wait(id, signal);
  await api.remove(id, signal);
}

/** A follower gets all that a container prints in an hour at 100 kB/s, as fast as it comes. */
async function streamLog(api: DockerHttp, show: (what: string) => Promise<number>, signal: AbortSignal): Promise<void> {
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
async function ignoreOutput(api: DockerHttp, show: (what: string) => Promise<number>, signal: AbortSignal): Promise<void> {
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
