import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runtimeOrder } from './detect.ts';
import { runtimeError } from './monitor.ts';

test('runtimeOrder() prefers the fast runtime where it can run', () => {
  assert.deepEqual(runtimeOrder({ cgroupVersion: 1, canRaiseLimits: true }), ['runc']);
  assert.deepEqual(runtimeOrder({ cgroupVersion: 2, canRaiseLimits: true }), ['crun', 'runc']);
  assert.deepEqual(runtimeOrder({ cgroupVersion: 2, canRaiseLimits: false }), ['runc']);
});

test('runtimeError() tells programs that are missing or not executable from other failures', () => {
  const cases: [string, number, string][] = [
    ['time="2026-01-01T00:00:00Z" level=error msg="runc create failed: unable to start container process: exec: \\"nope\\": executable file not found in $PATH"', 127, 'unable to start container process: exec: "nope": executable file not found in $PATH'],
    ['runc create failed: unable to start container process: exec: "/etc/passwd": permission denied', 126, 'unable to start container process: exec: "/etc/passwd": permission denied'],
    ['executable file `nope` not found in $PATH: No such file or directory', 127, 'executable file `nope` not found in $PATH: No such file or directory'],
    [
      'time="t" level=warning msg="unable to get oom kill count" error="openat2 /x: no such file or directory"\ntime="t" level=error msg="runc create failed: unable to apply cgroup configuration"\n',
      128,
      'unable to apply cgroup configuration',
    ],
    ['error mounting "/x" to rootfs: no such file or directory', 128, 'error mounting "/x" to rootfs: no such file or directory'],
  ];
  for (const [message, exitCode, text] of cases) {
    const error = runtimeError(message);
    assert.deepEqual([error.code, error.details.exitCode, error.message], ['invalid', exitCode, text]);
  }
});
