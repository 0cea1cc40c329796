import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { k8s, Stored } from '../../api/mod.ts';
import { pollUntil, silentLogger, systemClock } from '../../kernel/mod.ts';
import { metricsAddress, PodScraper, toMetrics } from './pod-scraper.ts';

function podOf(annotations: Record<string, string>, over: Partial<k8s.PodStatus> = {}): Stored<k8s.Pod> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default', uid: 'u', resourceVersion: '1', creationTimestamp: '', annotations },
    spec: { containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 8080 }] }] },
    status: { phase: 'Running', podIP: '127.0.0.1', ...over },
  };
}

test('metricsAddress() follows the annotations', () => {
  const scrape = { 'prometheus.io/scrape': 'true' };
  assert.deepEqual(metricsAddress(podOf(scrape)), { host: '127.0.0.1', port: 8080, path: '/metrics' });
  assert.deepEqual(metricsAddress(podOf({ ...scrape, 'prometheus.io/port': '9090', 'prometheus.io/path': 'm' })), { host: '127.0.0.1', port: 9090, path: '/m' });
  assert.equal(metricsAddress(podOf({})), undefined);
  assert.equal(metricsAddress(podOf(scrape, { phase: 'Pending' })), undefined);
  assert.equal(metricsAddress(podOf({ ...scrape, 'prometheus.io/port': 'x' })), undefined);
});

test('toMetrics() takes gauges as they are and counters by the second', () => {
  const at = (atMs: number, value: number): { atMs: number; samples: { name: string; type: string; labels: Record<string, string>; value: number }[] } => ({ atMs, samples: [{ name: 'requests_total', type: 'counter', labels: { a: 'b' }, value }, { name: 'queue', type: 'gauge', labels: {}, value: 3 }] });
  const summary = (older: number | undefined, newer: number): unknown => toMetrics('p', older === undefined ? undefined : at(1000, older), at(6000, newer)).map(({ metric, value, windowMs }) => [metric, value, windowMs]);
  assert.deepEqual(summary(10, 60), [['requests_per_second', 10, 5000], ['queue', 3, 0]]);
  assert.deepEqual(summary(60, 10), [['queue', 3, 0]], 'the counter began anew');
  assert.deepEqual(summary(undefined, 10), [['queue', 3, 0]]);
});

test('PodScraper reads the pods of a namespace once somebody asks about it', async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked += 1;
    response.end(`# TYPE queue gauge\nqueue ${asked}\n`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = new AbortController();
  const pod = podOf({ 'prometheus.io/scrape': 'true', 'prometheus.io/port': String((server.address() as AddressInfo).port) });
  const quick = { ...systemClock, sleep: (_: number, signal: AbortSignal) => systemClock.sleep(10, signal) };
  const scraper = new PodScraper((namespace) => (namespace === 'default' ? [pod] : []), quick, silentLogger());
  const run = scraper.run(stop.signal);
  try {
    assert.deepEqual(scraper.metrics('other'), []);
    assert.equal(asked, 0, 'nobody has asked about its namespace');
    const found = await pollUntil('a value', async () => scraper.metrics('default')[0], { timeoutMs: 30_000 }, stop.signal);
    assert.deepEqual([found.metric, found.pod, found.value > 0, scraper.names()], ['queue', 'web', true, ['queue']]);
  } finally {
    stop.abort();
    await run;
    server.closeAllConnections();
    server.close();
  }
});
