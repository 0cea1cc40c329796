import { systemClock } from '../../src/kernel/mod.ts';
import { costsOf } from '../process-costs.ts';
import { type ApiPeer, apiPeers, type EnginePeers } from './peers.ts';

const containers = 200;
const parallel = 8;
const windowMs = 10_000;

/** 200 running containers that do nothing: memory and CPU of everything that runs for them, their own processes aside. */
export async function benchIdleContainers(peers: EnginePeers, signal: AbortSignal): Promise<void> {
  console.log(`\nidle containers: ${containers} × sleep, what the engine needs for each (their own processes aside)`);
  const found = [];
  for (const peer of apiPeers(peers)) found.push({ who: peer.who, ...(await measure(peer, signal)) });
  const ours = found[0];
  for (const { who, pssBytes, rssBytes, processes, cpuShare, idleShare } of found) {
    const ratio = ours === undefined || who === ours.who ? '' : `   ×${(pssBytes / ours.pssBytes).toFixed(1)} of ${ours.who}`;
    console.log(`  ${who.padEnd(22)} ${mib(pssBytes)} MiB each (PSS), ${mib(rssBytes)} MiB (RSS), ${processes.toFixed(2)} processes each; CPU ${percent(cpuShare)} of a core for all, ${percent(idleShare)} before${ratio}`);
  }
}

async function measure(peer: ApiPeer, signal: AbortSignal): Promise<{ pssBytes: number; rssBytes: number; processes: number; cpuShare: number; idleShare: number }> {
  const { api } = peer;
  const before = await costsOf(await peer.processes(signal));
  const idleShare = await cpuShareOf(peer, signal);
  const ids: string[] = [];
  try {
    let next = 0;
    await Promise.all(Array.from({ length: parallel }, async () => {
      while (next < containers) {
        next += 1;
        const id = await api.create(['/bin/sleep', '100000'], {}, signal);
        ids.push(id);
        await api.start(id, signal);
      }
    }));
    await systemClock.sleep(5_000, signal);
    const cpuShare = await cpuShareOf(peer, signal);
    const after = await costsOf(await peer.processes(signal));
    return {
      pssBytes: (after.pssBytes - before.pssBytes) / containers, rssBytes: (after.rssBytes - before.rssBytes) / containers,
      processes: (after.count - before.count) / containers, cpuShare, idleShare,
    };
  } finally {
    let next = 0;
    const limit = AbortSignal.timeout(300_000);
    await Promise.all(Array.from({ length: parallel }, async () => {
      for (let id = ids[next++]; id !== undefined; id = ids[next++]) await api.remove(id, limit);
    }));
  }
}

async function cpuShareOf(peer: ApiPeer, signal: AbortSignal): Promise<number> {
  const pids = await peer.processes(signal);
  const before = await costsOf(pids);
  await systemClock.sleep(windowMs, signal);
  return ((await costsOf(pids)).cpuMs - before.cpuMs) / windowMs;
}

function mib(bytes: number): string {
  return (bytes / (1 << 20)).toFixed(2);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
