import assert from 'node:assert/strict';
import { createServer as createHttp2 } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { checkGrpcHealth } from './grpc-health.ts';
import { nextState, planNextProbe, type ProbeState, timingOf } from './probe-state.ts';

const unknown: ProbeState = { result: 'unknown', successes: 0, failures: 0 };
const signal = AbortSignal.timeout(10_000);

test('timingOf() has the defaults of Kubernetes', () => {
  assert.deepEqual(timingOf({}), { initialDelayMs: 0, periodMs: 10_000, timeoutMs: 1_000, successThreshold: 1, failureThreshold: 3 });
});

test('nextState() changes its result only at a threshold', () => {
  const timing = timingOf({ successThreshold: 2, failureThreshold: 3 });
  const results = (outcomes: string): string => {
    let state = unknown;
    return outcomes.split('').map((outcome) => ((state = nextState(state, outcome === '+', timing)), state.result[0])).join('');
  };
  const table: [string, string][] = [['++', 'us'], ['+-+', 'uuu'], ['---', 'uuf'], ['++--', 'usss'], ['++---+', 'usssff'], ['++---++', 'usssffs']];
  for (const [outcomes, expected] of table) assert.equal(results(outcomes), expected, outcomes);
});

test('planNextProbe() tries early until the first success, and such tries never count', () => {
  const timing = timingOf({ periodSeconds: 1 });
  const success: ProbeState = { result: 'success', successes: 1, failures: 0 };
  assert.deepEqual(planNextProbe('readiness', unknown, timing, 0, 0), { delayMs: 50, counts: false });
  assert.deepEqual(planNextProbe('startup', unknown, timing, 20, 100), { delayMs: 900, counts: true });
  assert.deepEqual(planNextProbe('liveness', unknown, timing, 0, 0), { delayMs: 1000, counts: true });
  assert.deepEqual(planNextProbe('readiness', success, timing, 0, 400), { delayMs: 600, counts: true });
});

test('checkGrpcHealth() asks the health service of a gRPC server', async () => {
  const server = createHttp2();
  server.on('stream', (stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const name = Buffer.concat(chunks).subarray(7).toString();
      const status = name === 'sick' ? 2 : 1;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': name === 'none' ? '5' : '0' }));
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const ask = (service: string) => checkGrpcHealth('127.0.0.1', port, service, signal);
    assert.deepEqual(await ask(''), { isSuccess: true, message: '' });
    assert.deepEqual(await ask('sick'), { isSuccess: false, message: 'service unhealthy (responded with NOT_SERVING)' });
    assert.deepEqual(await ask('none'), { isSuccess: false, message: 'gRPC health check failed with status code 5' });
  } finally {
    server.close();
  }
  await assert.rejects(checkGrpcHealth('127.0.0.1', port, '', signal));
});
