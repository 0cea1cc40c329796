import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../../kernel/mod.ts';
import type { ContainerId } from '../types.ts';
import type { ContainerEntry } from './container-entry.ts';
import { checkLinks, type LinkedContainer, linkHosts, linkVariables, moveLink, resolveLinks } from './links.ts';

const linked: LinkedContainer = { alias: 'my-db', name: 'server', hostname: 'host', address: '10.0.0.2', ports: ['82/tcp', '80/tcp', '81/tcp', '53/udp', '53/tcp'], env: ['A=b=c', 'HOME=/x', 'PATH=/bin', 'NONE'] };

test('linkVariables() tells name, ports, runs of ports and variables', () => {
  const port = (number: number, protocol: string): string[] => {
    const key = `MY_DB_PORT_${number}_${protocol.toUpperCase()}`;
    return [`${key}=${protocol}://10.0.0.2:${number}`, `${key}_ADDR=10.0.0.2`, `${key}_PORT=${number}`, `${key}_PROTO=${protocol}`];
  };
  assert.deepEqual(linkVariables('client', linked), [
    'MY_DB_PORT=tcp://10.0.0.2:53',
    'MY_DB_PORT_80_TCP_START=tcp://10.0.0.2:80', 'MY_DB_PORT_80_TCP_PORT_START=80', 'MY_DB_PORT_80_TCP_END=tcp://10.0.0.2:82', 'MY_DB_PORT_80_TCP_PORT_END=82',
    ...port(53, 'tcp'), ...port(53, 'udp'), ...port(80, 'tcp'), ...port(81, 'tcp'), ...port(82, 'tcp'),
    'MY_DB_NAME=/client/my-db', 'MY_DB_ENV_A=b=c',
  ]);
  assert.deepEqual(linkVariables('client', { ...linked, ports: [], env: [] }), ['MY_DB_NAME=/client/my-db']);
});

test('linkHosts() and moveLink() write and change the line of one alias', () => {
  assert.deepEqual(linkHosts(linked), { ip: '10.0.0.2', names: ['my-db', 'host', 'server'] });
  assert.deepEqual(linkHosts({ ...linked, alias: 'server' }).names, ['server', 'host']);
  const text = '127.0.0.1\tlocalhost\n10.0.0.2\tmy-db host server\n10.0.0.3\tother my-db\n';
  assert.equal(moveLink(text, { ...linked, address: '10.0.0.9' }), '127.0.0.1\tlocalhost\n10.0.0.9\tmy-db host server\n10.0.0.3\tother my-db\n');
});

test('resolveLinks() and checkLinks() take what runs on the same network, and leave out what was removed', () => {
  const endpoint = { networkId: 'n', ipv4Address: '10.0.0.2' };
  const entry = (id: string, isRunning: boolean, networkId = 'n'): ContainerEntry => ({ id, isRunning, spec: { name: id, hostname: '', env: ['A=b'] }, status: { endpoints: isRunning ? [{ ...endpoint, networkId }] : [] } }) as unknown as ContainerEntry;
  const all = [entry('runs', true), entry('idle', false), entry('elsewhere', true, 'm')];
  const find = (id: ContainerId): ContainerEntry | undefined => all.find((one) => one.id === id);
  const parent = (...ids: string[]): ContainerEntry => ({ spec: { name: 'parent', links: ids.map((containerId) => ({ containerId, alias: 'x', ports: [] })) } }) as unknown as ContainerEntry;
  const resolve = (...ids: string[]): LinkedContainer[] => resolveLinks(parent(...ids), [endpoint as never], find);
  assert.deepEqual(resolve('runs', 'gone'), [{ alias: 'x', name: 'runs', hostname: 'runs', address: '10.0.0.2', ports: [], env: ['A=b'] }]);
  assert.throws(() => resolve('elsewhere'), (error) => isError(error, 'conflict'));
  checkLinks(parent('runs', 'gone'), find);
  assert.throws(() => checkLinks(parent('idle'), find), (error) => isError(error, 'conflict') && error.message === 'Cannot link to a non running container: /idle AS /parent/x');
});
