import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import type { ContainerSpec, RestartPolicy } from '../types.ts';
import { plainContainerSpec } from './plain-spec.ts';
import { parseProcessList } from './process-list.ts';
import { planRecovery, type RecoveryFacts } from './recovery-plan.ts';
import { isStartedAtBoot, planRestart } from './restart-plan.ts';
import { parseSignal } from './signals.ts';
import { validateSpec } from './validate-spec.ts';

test('planRecovery() decides from what is found', () => {
  const nothing: RecoveryFacts = { recordedState: 'created', exitCode: undefined, isMonitorAlive: false, isStarted: false, processCount: 0, hasRunFolder: false };
  const cases: [Partial<RecoveryFacts>, ReturnType<typeof planRecovery>][] = [
    [{}, { kind: 'keep' }],
    [{ recordedState: 'exited' }, { kind: 'keep' }],
    [{ recordedState: 'restarting' }, { kind: 'keep' }],
    [{ recordedState: 'removing' }, { kind: 'remove' }],
    [{ recordedState: 'running', isMonitorAlive: true, isStarted: true, processCount: 1 }, { kind: 'adopt' }],
    [{ recordedState: 'paused', isMonitorAlive: true, isStarted: true, processCount: 1 }, { kind: 'adopt' }],
    [{ recordedState: 'running', exitCode: 3 }, { kind: 'exited', exitCode: 3 }],
    [{ recordedState: 'running', exitCode: 3, isMonitorAlive: true }, { kind: 'exited', exitCode: 3 }],
    [{ recordedState: 'running' }, { kind: 'lost' }],
    [{ recordedState: 'running', processCount: 2 }, { kind: 'lost' }],
    // The engine died between letting it go and writing that down.
    [{ isMonitorAlive: true, isStarted: true, processCount: 1 }, { kind: 'adopt' }],
    [{ isStarted: true, exitCode: 0 }, { kind: 'exited', exitCode: 0 }],
    // ... or before.
    [{ isMonitorAlive: true, processCount: 1 }, { kind: 'discard' }],
    [{ processCount: 1 }, { kind: 'discard' }],
    [{ exitCode: 1 }, { kind: 'discard' }],
    [{ recordedState: 'exited', hasRunFolder: true }, { kind: 'discard' }],
  ];
  for (const [change, expected] of cases) assert.deepEqual(planRecovery({ ...nothing, ...change }), expected, JSON.stringify(change));
});

test('planRestart() follows the policy and doubles the delay', () => {
  const exit = { exitCode: 1, isStopRequested: false, restartCount: 0, ranForMs: 50 };
  const retries = (maximumRetryCount: number): RestartPolicy => ({ name: 'on-failure', maximumRetryCount });
  const cases: [RestartPolicy, Partial<typeof exit>, number | undefined][] = [
    [{ name: 'no' }, {}, undefined],
    [{ name: 'always' }, {}, 100],
    [{ name: 'always' }, { exitCode: 0, restartCount: 3 }, 800],
    [{ name: 'always' }, { restartCount: 40 }, 60_000],
    [{ name: 'always' }, { restartCount: 40, ranForMs: 10_000 }, 100],
    [{ name: 'always' }, { isStopRequested: true }, undefined],
    [{ name: 'unless-stopped' }, {}, 100],
    [retries(0), { restartCount: 99 }, 60_000],
    [retries(2), { restartCount: 1 }, 200],
    [retries(2), { restartCount: 2 }, undefined],
    [retries(2), { exitCode: 0 }, undefined],
  ];
  for (const [policy, change, delayMs] of cases) {
    assert.deepEqual(planRestart(policy, { ...exit, ...change }), delayMs === undefined ? { restart: false } : { restart: true, delayMs }, JSON.stringify([policy, change]));
  }
});

test('isStartedAtBoot() starts what the policy promises', () => {
  const retries = (maximumRetryCount: number): RestartPolicy => ({ name: 'on-failure', maximumRetryCount });
  const lost = { hasStarted: true, isStopRequested: false, exitCode: 255, restartCount: 0 };
  const stopped = { ...lost, isStopRequested: true, exitCode: 137 };
  const passed = { ...lost, exitCode: 0 };
  const tired = { ...lost, restartCount: 2 };
  const never = { ...lost, hasStarted: false };
  const cases: [RestartPolicy, boolean[]][] = [
    [{ name: 'no' }, [false, false, false, false, false]],
    [{ name: 'always' }, [true, true, true, true, false]],
    [{ name: 'unless-stopped' }, [true, false, true, true, false]],
    [retries(0), [true, true, false, true, false]],
    [retries(2), [true, true, false, false, false]],
  ];
  for (const [policy, expected] of cases) assert.deepEqual([lost, stopped, passed, tired, never].map((facts) => isStartedAtBoot(policy, facts)), expected, JSON.stringify(policy));
});

test('parseSignal() takes names, numbers and real-time signals', () => {
  assert.deepEqual(['SIGTERM', 'term', '15', 'SIGKILL', 'SIGRTMIN+3', 'rtmax-1', 'SIGRTMIN'].map(parseSignal), [15, 15, 15, 9, 37, 63, 34]);
  for (const text of ['', 'SIGNOTHING', '0', '65', '-1', 'SIGRTMIN+99']) assert.throws(() => parseSignal(text), (error) => isError(error, 'invalid'), text);
});

test('parseProcessList() keeps the wanted lines and the spaces of the last cell', () => {
  const text = 'UID          PID    PPID  CMD\nroot           1       0  /sbin/init  splash\napp          42       1  sh -c sleep  9\n';
  assert.deepEqual(parseProcessList(text, new Set([42])), { titles: ['UID', 'PID', 'PPID', 'CMD'], processes: [['app', '42', '1', 'sh -c sleep 9']] });
  assert.throws(() => parseProcessList('UID CMD\nroot init\n', new Set([1])), (error) => isError(error, 'invalid'));
});

test('validateSpec() names every field that is wrong', () => {
  const plain = plainContainerSpec({ name: 'ok', image: { id: 'sha256:0', reference: 'x' }, args: ['true'] });
  validateSpec(plain);
  const tmpfs = (target: string) => ({ type: 'tmpfs' as const, target, isReadOnly: false, options: [] });
  const cases: [Partial<ContainerSpec>, string[]][] = [
    [{ name: '-x' }, ['name']],
    [{ args: [] }, ['args']],
    [{ args: ['a\0b'] }, ['args']],
    [{ env: ['NOVALUE'] }, ['env']],
    [{ workingDir: 'relative' }, ['workingDir']],
    [{ hostname: 'under_score' }, ['hostname']],
    [{ stopSignal: 'SIGX', resources: { cpuShares: 1 } }, ['stopSignal', 'resources']],
    [{ security: { ...plain.security, addCapabilities: ['NOPE'] } }, ['security.addCapabilities']],
    [{ mounts: [tmpfs('/')] }, ['mounts[0]']],
    [{ mounts: [tmpfs('/a'), tmpfs('/a/')] }, ['mounts[1]']],
    [{ mounts: [{ type: 'bind', source: 'x', target: '/x', isReadOnly: false, propagation: 'rprivate', isRecursive: true, createSource: false }] }, ['mounts[0]']],
    [{ sysctls: { 'kernel.panic': '1' } }, ['sysctls.kernel.panic']],
    [{ sysctls: { 'net.ipv4.ip_forward': '1' }, network: { mode: 'host' } }, ['sysctls.net.ipv4.ip_forward']],
    [{ sysctls: { 'net.ipv4.ip_forward': '1' } }, []],
    [{ ports: [{ protocol: 'tcp', containerPort: 1, hostIp: '', hostPort: 1 }], network: { mode: 'none' } }, ['ports']],
    [{ log: { maxSizeBytes: 1, maxFiles: 0 } }, ['log']],
  ];
  for (const [change, fields] of cases) {
    if (fields.length === 0) validateSpec({ ...plain, ...change });
    else assert.throws(() => validateSpec({ ...plain, ...change }), (error) => isError(error, 'invalid') && assert.deepEqual(error.places.map(({ field }) => field), fields) === undefined, JSON.stringify(change));
  }
});
