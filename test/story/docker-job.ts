import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkflowRun } from '../../src/api/mod.ts';
import { pollUntil, runCommand } from '../../src/kernel/mod.ts';
import type { Step, Story } from './story.ts';

const workflow = `name: docker
on:
  push:
    branches: [docker-job]
jobs:
  docker:
    runs-on: ubuntu-latest
    container:
      image: node:24-slim
      volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
    steps:
      - uses: actions/checkout@v4
      - run: node docker-job.mjs
`;

/** Speaks the Docker API from within the job, checks what it gets, and leaves a container running. */
const program = `import assert from 'node:assert/strict';
import { request } from 'node:http';

const socketPath = process.env.DOCKER_HOST.replace('unix://', '');
const call = (method, path, body) => new Promise((resolve, reject) => {
  const answered = (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (part) => (text += part)).on('end', () => resolve({ status: response.statusCode, text }));
  };
  request({ socketPath, method, path, headers: { 'content-type': 'application/json' } }, answered).on('error', reject).end(body && JSON.stringify(body));
});
const create = (config, name = '') => call('POST', '/containers/create' + (name && '?name=' + name), { Image: 'node:24-slim', ...config });

assert.deepEqual(JSON.parse((await call('GET', '/containers/json?all=1')).text), []);
for (const HostConfig of [{ Privileged: true }, { Binds: ['/:/host'] }, { NetworkMode: 'host' }, { PidMode: 'host' }]) {
  const { status, text } = await create({ HostConfig });
  assert.equal(status, 403, JSON.stringify(HostConfig) + ': ' + text);
}
const created = await create({ Cmd: ['node', '-p', '6 * 7'] });
assert.equal(created.status, 201, created.text);
const { Id } = JSON.parse(created.text);
assert.equal((await call('POST', '/containers/' + Id + '/start')).status, 204);
assert.equal(JSON.parse((await call('POST', '/containers/' + Id + '/wait')).text).StatusCode, 0);
assert.match((await call('GET', '/containers/' + Id + '/logs?stdout=1')).text, /42/);
const left = JSON.parse((await create({ Cmd: ['sleep', '100000'] })).text).Id;
assert.equal((await call('POST', '/containers/' + left + '/start')).status, 204);
console.log('left running: ' + left);
`;

/** A job of a workflow runs containers through a Docker socket of its own; what it leaves goes with it. */
export const dockerJob: Step = {
  name: 'a job runs containers through a Docker socket of its own, which goes with all it made',
  async run({ shop, instance }: Story, signal) {
    await shop.git(['checkout', '-q', '-b', 'docker-job'], signal);
    await mkdir(join(shop.folder, '.github/workflows'), { recursive: true });
    await writeFile(join(shop.folder, '.github/workflows/docker.yml'), workflow);
    await writeFile(join(shop.folder, 'docker-job.mjs'), program);
    const commit = await shop.commit('Use Docker in a job', signal);
    await shop.git(['push', '-q', 'origin', 'docker-job'], signal);
    const run = await pollUntil('the end of the run', async () => {
      const { items } = await instance.get<{ items: WorkflowRun[] }>(['workflowruns'], signal);
      return items.find(({ spec, status }) => spec?.commit === commit && ['Succeeded', 'Failed', 'Cancelled', 'Error'].includes(status?.phase ?? ''));
    }, { timeoutMs: 120_000, intervalMs: 250 }, signal);
    const { stdout } = await instance.gantry(['run', 'logs', run.metadata?.name ?? ''], signal);
    assert.equal(run.status?.phase, 'Succeeded', stdout);
    const left = /left running: ([0-9a-f]{64})/.exec(stdout)?.[1];
    assert.ok(left, stdout);
    const ask = ['-sS', '-o', '/dev/null', '-w', '%{http_code}', '--unix-socket', instance.value('DOCKER_HOST').replace('unix://', ''), `http://docker/containers/${left}/json`];
    const isGone = async (): Promise<boolean> => (await runCommand('curl', ask, {}, signal)).stdout === '404';
    await pollUntil('what the job left to be removed', async () => (await isGone()) || undefined, { timeoutMs: 60_000, intervalMs: 250 }, signal);
  },
};
