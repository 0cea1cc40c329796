import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { rootNeeds } from '../../host/testing/root.ts';
import { silentLogger } from '../../kernel/mod.ts';
import { openDockerApi, type DockerApi } from './docker-api.ts';
import { openTestDocker, type TestDocker } from './testing/test-docker.ts';

/** The docker command line against the API with mutual TLS, as dockerd's `--tlsverify`. */
suite('docker --tlsverify', { skip: rootNeeds('docker', 'openssl', 'runc', 'conmon', 'bsdtar', 'nft', 'setpriv'), concurrency: false }, () => {
  let docker: TestDocker;
  let api: DockerApi;
  let url: string;
  const stack = new AsyncDisposableStack();
  const at = (name: string): string => join(docker.folder, name);
  before(async () => {
    docker = stack.use(await openTestDocker());
    for (const name of ['trusted', 'foreign']) makeAuthority(at(name));
    api = await openDockerApi({ engine: docker.engine.engine, images: docker.images, version: '0.0.0', log: silentLogger(), temporaryFolder: at('tls-contexts') });
    const read = (file: string): string => execFileSync('cat', [at(file)], { encoding: 'utf8' });
    const listening = stack.use(await api.listen({ host: '0.0.0.0', port: 0, tls: { ca: read('trusted/ca.pem'), cert: read('trusted/server.pem'), key: read('trusted/server-key.pem') } }));
    url = listening.url.replace('0.0.0.0', '127.0.0.1');
  });
  after(async () => stack.disposeAsync());

  const run = (args: readonly string[], input = ''): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((resolve, reject) => {
      const child = spawn('docker', ['-H', url, ...args], { env: { PATH: process.env['PATH'], HOME: docker.folder, DOCKER_CONFIG: at('config') }, stdio: 'pipe' });
      const result = { stdout: '', stderr: '' };
      child.stdout.on('data', (chunk: Buffer) => (result.stdout += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (result.stderr += chunk.toString()));
      child.once('error', reject);
      child.once('close', (code) => resolve({ code: code ?? -1, ...result }));
      child.stdin.end(input);
    });
  const tls = (folder: string, ca = folder): string[] => ['--tlsverify', '--tlscacert', at(`${ca}/ca.pem`), '--tlscert', at(`${folder}/cert.pem`), '--tlskey', at(`${folder}/key.pem`)];

  test('serves a client with a certificate of the authority: calls, streams, and an input that ends', async () => {
    const version = await run([...tls('trusted'), 'version', '--format', '{{.Server.Platform.Name}}']);
    assert.deepEqual(version, { code: 0, stdout: 'Gantry\n', stderr: '' });
    const piped = await run([...tls('trusted'), 'run', '-i', '--rm', 'busybox', 'sh', '-c', 'cat; echo end; exit 3'], 'through TLS\n');
    assert.deepEqual(piped, { code: 3, stdout: 'through TLS\nend\n', stderr: '' });
  });

  test('refuses everybody else before a word of HTTP is spoken', async () => {
    const plain = await run(['version']);
    const withoutCertificate = await run(['--tlsverify', '--tlscacert', at('trusted/ca.pem'), 'version']);
    const foreign = await run([...tls('foreign', 'trusted'), 'version']);
    assert.deepEqual([plain, withoutCertificate, foreign].map(({ code }) => code), [1, 1, 1]);
    for (const { stderr } of [withoutCertificate, foreign]) assert.match(stderr, /tls|EOF|reset|certificate/i);
    const answered = await fetch(url.replace('tcp:', 'http:')).then(({ status }) => status, () => 'closed');
    assert.equal(answered, 'closed');
  });

  test('a client does not take another server for this one', async () => {
    const { code, stderr } = await run([...tls('trusted', 'foreign'), 'version']);
    assert.equal(code, 1);
    assert.match(stderr, /certificate/);
  });

  test('without TLS it listens on loopback only', async () => {
    for (const host of ['0.0.0.0', '::', '198.18.0.1']) await assert.rejects(api.listen({ host, port: 0 }), { code: 'forbidden' });
    await using plain = await api.listen({ host: '127.0.0.1', port: 0 });
    assert.match(plain.url, /^tcp:\/\/127\.0\.0\.1:\d+$/);
    await assert.rejects(api.listen({ host: '127.0.0.1', port: 0, tls: { ca: 'x', cert: 'y', key: 'z' } }), { code: 'invalid' });
  });

  test('the socket is for root and its group, and for nobody else', async () => {
    const groupId = 54_321;
    const socketPath = at('group.sock');
    await using _ = await api.listen({ socketPath, groupId });
    const { mode, uid, gid } = statSync(socketPath);
    assert.deepEqual([mode & 0o777, uid, gid], [0o660, 0, groupId]);
    execFileSync('chmod', ['711', docker.folder]);
    const ask = (...identity: string[]): Promise<number> => new Promise((resolve, reject) => {
      const child = spawn('setpriv', [...identity, '--clear-groups', '--', 'curl', '-sS', '-o', '/dev/null', '--unix-socket', socketPath, 'http://d/_ping'], { stdio: 'ignore' });
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? -1));
    });
    // 7: curl could not connect.
    assert.deepEqual(await Promise.all([ask('--reuid=54000', `--regid=${groupId}`), ask('--reuid=54000', '--regid=54000')]), [0, 7]);
  });
});

/** An authority with a server's and a client's certificate, by openssl: made by another hand than the product's. */
function makeAuthority(folder: string): void {
  mkdirSync(folder);
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...newKey, '-keyout', 'ca-key.pem', '-out', 'ca.pem', '-days', '1', '-subj', '/CN=test authority');
  for (const [name, key, extensions] of [['server', 'server-key', 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth'], ['cert', 'key', 'extendedKeyUsage=clientAuth']] as const) {
    writeFileSync(join(folder, 'extensions'), extensions);
    openssl('req', ...newKey, '-keyout', `${key}.pem`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-out', `${name}.pem`, '-days', '1', '-extfile', 'extensions');
  }
}
