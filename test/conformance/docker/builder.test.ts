/** `docker build` and what is kept for the next one, through the command line. What it prints and makes is compared with dockerd in docker.test.ts. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openGantry, runDocker, whyNotHere } from './daemon.ts';

const signal = AbortSignal.timeout(170_000);

test('docker build, system df, builder prune, system prune', { skip: whyNotHere('docker', 'runc', 'conmon', 'bsdtar') }, async () => {
  await using daemon = await openGantry();
  const context = join(daemon.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), 'FROM busybox AS first\nARG WORD=none\nRUN echo "$WORD" > /built\nFROM first AS second\nRUN exit 1\n');
  const docker = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runDocker(daemon, args, signal);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  await docker('build', '-t', 'built:1', '--target', 'first', '--build-arg', 'WORD=given', '--label', 'own=x', '--network', 'none', '--cache-from', 'busybox', context);
  assert.equal(await docker('run', '--rm', 'built:1', 'cat', '/built'), 'given\n');
  assert.match(await docker('image', 'inspect', '-f', '{{.Config.Labels.own}}', 'built:1'), /^x$/m);
  const cache = async (): Promise<string> => (await docker('system', 'df', '--format', '{{.Type}}: {{.TotalCount}}')).split('\n').find((line) => line.startsWith('Build Cache')) ?? '';
  assert.equal(await cache(), 'Build Cache: 1');
  assert.match(await docker('system', 'df', '-v'), /Build cache usage/i);
  assert.match(await docker('builder', 'prune', '-f'), /Total:\s+0B|Total reclaimed space: 0B/, 'the image has the layer');
  assert.equal(await cache(), 'Build Cache: 0');
  await docker('build', '-q', '-t', 'built:1', '--target', 'first', context);
  await docker('rmi', 'built:1');
  assert.match(await docker('system', 'prune', '-f'), /Total reclaimed space: [1-9]/);
  assert.equal(await cache(), 'Build Cache: 0');
});
