import { report, type Samples } from '../report.ts';
import { type ApiPeer, apiPeers, type EnginePeers } from './peers.ts';

const atOnce = 50;
const rounds = 3;

/** 50 containers asked for at the same moment by the API: each from create to running, and all of them. */
export async function benchBurst(peers: EnginePeers, signal: AbortSignal): Promise<void> {
  const each = new Map<string, number[]>();
  const all = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const peer of apiPeers(peers)) {
      const startedAt = performance.now();
      const ids: string[] = [];
      const times = await Promise.all(Array.from({ length: atOnce }, async () => {
        ids.push(await startOne(peer, signal));
        return performance.now() - startedAt;
      }));
      add(all, peer.who, [performance.now() - startedAt]);
      add(each, peer.who, times);
      await Promise.all(ids.map((id) => peer.api.remove(id, signal)));
    }
  }
  report(`burst: ${atOnce} at once, until all run (${rounds} rounds)`, samplesOf(all));
  report(`burst: ${atOnce} at once, each from create to running`, samplesOf(each));
}

async function startOne({ api }: ApiPeer, signal: AbortSignal): Promise<string> {
  const id = await api.create(['/bin/sleep', '100000'], {}, signal);
  await api.start(id, signal);
  return id;
}

function add(into: Map<string, number[]>, who: string, times: readonly number[]): void {
  into.set(who, [...(into.get(who) ?? []), ...times]);
}

function samplesOf(times: ReadonlyMap<string, number[]>): Samples[] {
  return [...times].map(([who, timesMs]) => ({ who, timesMs }));
}
