import type { IncomingMessage } from 'node:http';
import { interleave, report, reportRate } from '../report.ts';
import { type ApiPeer, apiPeers, type EnginePeers } from './peers.ts';

/** From the death of a container's process to the `die` event at a listener. */
export async function benchExitEvents(peers: EnginePeers, signal: AbortSignal): Promise<void> {
  const listeners = await Promise.all(apiPeers(peers).map(async (peer) => ({ peer, listener: await DieListener.open(peer, signal) })));
  try {
    const delays = new Map<string, number[]>();
    await interleave({ times: 25, budgetMs: 60_000 }, Object.fromEntries(listeners.map(({ peer, listener }) => [peer.who, async (index: number) => {
      const id = await peer.api.create(['/bin/sleep', '100000'], {}, signal);
      await peer.api.start(id, signal);
      const pid = await peer.api.pidOf(id, signal);
      const seen = listener.next(id);
      const diedAt = performance.now();
      process.kill(pid, 'SIGKILL');
      await seen;
      const delayMs = performance.now() - diedAt;
      if (index >= 0) delays.set(peer.who, [...(delays.get(peer.who) ?? []), delayMs]);
      await peer.api.remove(id, signal);
    }])));
    report('exit: from SIGKILL to the die event', [...delays].map(([who, timesMs]) => ({ who, timesMs })));
  } finally {
    for (const { listener } of listeners) listener[Symbol.dispose]();
  }
}

/** Waits for containers' `die` events on one open connection. */
class DieListener implements Disposable {
  readonly #response: IncomingMessage;
  readonly #waiting = new Map<string, () => void>();
  #rest = '';

  private constructor(response: IncomingMessage) {
    this.#response = response;
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => this.#read(chunk));
    response.on('error', () => undefined);
  }

  static async open({ api }: ApiPeer, signal: AbortSignal): Promise<DieListener> {
    return new DieListener(await api.open('GET', `/events?filters=${encodeURIComponent('{"event":["die"]}')}`, undefined, signal));
  }

  next(id: string): Promise<void> {
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  [Symbol.dispose](): void {
    this.#response.destroy();
  }

  #read(chunk: string): void {
    const lines = `${this.#rest}${chunk}`.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines.filter((text) => text.trim() !== '')) {
      const id = (JSON.parse(line) as { Actor: { ID: string } }).Actor.ID;
      this.#waiting.get(id)?.();
      this.#waiting.delete(id);
    }
  }
}

const loudBytes = 32 << 20;

/** One container that writes 32 MiB of lines of 100 bytes as fast as it can, until it is done. Nobody reads along. */
export async function benchLogs(peers: EnginePeers, signal: AbortSignal): Promise<void> {
  const command = ['/bin/sh', '-c', `yes ${'0123456789'.repeat(10).slice(1)} | head -c ${loudBytes}`];
  const samples = await interleave({ times: 20, budgetMs: 120_000 }, Object.fromEntries(apiPeers(peers).map(({ who, api }) => [who, async () => {
    const id = await api.create(command, {}, signal);
    await api.start(id, signal);
    await api.wait(id, signal);
    await api.remove(id, signal);
  }])));
  report('logs: a container that writes 32 MiB to stdout, create to removed', samples);
  reportRate('logs: throughput of one loud container', loudBytes, samples);
}
