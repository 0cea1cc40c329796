import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HealthStatus } from '../types.ts';
import { afterProbe, nextProbeMs, planHealthCheck, startingHealth } from './health-plan.ts';

const plan = { command: ['true'], intervalMs: 1000, timeoutMs: 100, startPeriodMs: 5000, startIntervalMs: 200, retries: 3 };
const probe = (exitCode: number) => ({ startedAt: 's', finishedAt: 'f', exitCode, output: '' });

test('planHealthCheck() reads the forms of the instruction and fills in defaults', () => {
  const commandOf = (Test: string[]) => planHealthCheck({ Test })?.command;
  assert.deepEqual(
    [commandOf([]), commandOf(['NONE']), commandOf(['CMD', 'a', 'b']), commandOf(['CMD-SHELL', 'a | b'])],
    [undefined, undefined, ['a', 'b'], ['/bin/sh', '-c', 'a | b']],
  );
  assert.equal(planHealthCheck(undefined), undefined);
  const { command: _command, ...times } = planHealthCheck({ Test: ['CMD', 'x'], Interval: 2e9, Retries: 0 }) ?? plan;
  assert.deepEqual(times, { intervalMs: 2000, timeoutMs: 30_000, startPeriodMs: 0, startIntervalMs: 5000, retries: 3 });
});

test('afterProbe() counts failures in a row, but not those of the start period', () => {
  const run = (codes: number[], sinceStartMs: number): HealthStatus => codes.reduce((status, code) => afterProbe(status, probe(code), plan, sinceStartMs), startingHealth);
  const cases: [number[], number, HealthStatus['state'], number][] = [
    [[0], 0, 'healthy', 0],
    [[1, 1, 1, 1], 0, 'starting', 0],
    [[1, 1], 6000, 'starting', 2],
    [[1, 1, 1], 6000, 'unhealthy', 3],
    // Once healthy, the start is over.
    [[0, 1, 1, 1], 0, 'unhealthy', 3],
    [[0, 1, 1], 0, 'healthy', 2],
    [[1, 1, 1, 0], 6000, 'healthy', 0],
  ];
  for (const [codes, sinceStartMs, state, failingStreak] of cases) {
    const result = run(codes, sinceStartMs);
    assert.deepEqual([result.state, result.failingStreak], [state, failingStreak], JSON.stringify(codes));
  }
  assert.equal(run([1, 2, 3, 4, 5, 6, 7], 6000).log.map(({ exitCode }) => exitCode).join(''), '34567');
});

test('nextProbeMs() is shorter while the container starts', () => {
  assert.deepEqual([nextProbeMs(startingHealth, plan, 0), nextProbeMs(startingHealth, plan, 6000), nextProbeMs({ ...startingHealth, state: 'healthy' }, plan, 0)], [200, 1000, 1000]);
});
