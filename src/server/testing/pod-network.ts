import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { k8s } from '../../api/mod.ts';
import { randomHex, runCommand } from '../../kernel/mod.ts';
import { realNodeImage } from './real-node.ts';

/**
 * TCP and UDP on one port: says its name and whom it sees, then echoes. Asked to stop it tells every open connection, goes on
 * with those, and ends when the last of them has.
 */
const application = `
  const { createServer } = require('node:net');
  const [name, port] = process.argv.slice(1);
  const sockets = new Set();
  let isStopping = false;
  const leave = () => { if (isStopping && sockets.size === 0) process.exit(0); };
  createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => (sockets.delete(socket), leave()));
    socket.on('error', () => undefined);
    socket.write(name + ' ' + socket.remoteAddress.replace('::ffff:', '') + '\\n');
    socket.pipe(socket);
  }).listen(Number(port), () => console.log('up'));
  const udp = require('node:dgram').createSocket('udp4');
  udp.on('message', (_, from) => udp.send(name + ' ' + from.address, from.port, from.address));
  udp.bind(Number(port));
  process.on('SIGTERM', () => {
    isStopping = true;
    for (const socket of sockets) socket.write('stopping\\n');
    leave();
  });`;

/** A pod with the application, run by the machine's own Node. Its port is named `app`. */
export function applicationPod(name: string, port: number, change: Partial<k8s.PodSpec> = {}, ready: k8s.Probe = { tcpSocket: { port } }): k8s.PodSpec {
  const mounts = { '/lib': '/usr/lib', '/lib64': '/usr/lib64', '/node': dirname(process.execPath) };
  const named = Object.entries(mounts).map(([mountPath, path], index) => ({ mountPath, path, name: `host-${index}` }));
  return {
    terminationGracePeriodSeconds: 30,
    containers: [
      {
        name: 'app',
        image: realNodeImage,
        imagePullPolicy: 'Never',
        command: ['/node/node', '-e', application, name, String(port)],
        ports: [{ name: 'app', containerPort: port }, { name: 'app-udp', containerPort: port, protocol: 'UDP' }],
        readinessProbe: { periodSeconds: 1, ...ready },
        volumeMounts: named.map(({ name: volume, mountPath }) => ({ name: volume, mountPath, readOnly: true })),
      },
    ],
    volumes: named.map(({ name: volume, path }) => ({ name: volume, hostPath: { path } })),
    ...change,
  };
}

/** Prints what a TCP or UDP port says first, or the error. */
const client = `
  const [host, port, protocol] = process.argv.slice(1);
  const end = (text) => { console.log(String(text).split('\\n')[0]); process.exit(0); };
  if (protocol === 'udp') {
    const socket = require('node:dgram').createSocket('udp4');
    socket.on('message', end);
    socket.on('error', (error) => end(error.code));
    setInterval(() => socket.send('?', Number(port), host), 500);
    socket.send('?', Number(port), host);
  } else {
    const socket = require('node:net').connect(Number(port), host);
    socket.on('data', end);
    socket.on('error', (error) => end(error.code));
  }`;

/** The command of that client, for a pod (its Node is at /node) or for this machine. */
export function clientCommand(node: string, host: string, port: number, protocol: 'tcp' | 'udp' = 'tcp'): string[] {
  return [node, '-e', client, host, String(port), protocol];
}

/** A client beside the machine: a network namespace with an address of its own, routed to the host. */
export interface OutsideClient extends AsyncDisposable {
  readonly address: string;
  /** The host's address as the client sees it. */
  readonly host: string;
  ask(host: string, port: number, protocol?: 'tcp' | 'udp'): Promise<string>;
}

/** Opens one in a random part of 203.0.113.0/24 (RFC 5737); needs root. */
export async function openOutsideClient(signal: AbortSignal): Promise<OutsideClient> {
  await using cleanup = new AsyncDisposableStack();
  const [name, base] = [`gt${randomHex(4)}`, randomInt(64) * 4];
  const [host, address] = [`203.0.113.${base + 1}`, `203.0.113.${base + 2}`];
  const ip = (...args: string[]): Promise<unknown> => runCommand('ip', args, {}, signal);
  cleanup.defer(async () => {
    for (const args of [['netns', 'del', name], ['link', 'del', name]]) await runCommand('ip', args, { okCodes: [0, 1] }, AbortSignal.timeout(10_000));
  });
  await ip('netns', 'add', name);
  await ip('link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
  await ip('addr', 'add', `${host}/30`, 'dev', name);
  await ip('link', 'set', name, 'up');
  await ip('-n', name, 'addr', 'add', `${address}/30`, 'dev', 'eth0');
  await ip('-n', name, 'link', 'set', 'eth0', 'up');
  await ip('-n', name, 'link', 'set', 'lo', 'up');
  await ip('-n', name, 'route', 'add', 'default', 'via', host);
  const moved = cleanup.move();
  return {
    address,
    host,
    ask: async (to, port, protocol) => (await runCommand('ip', ['netns', 'exec', name, ...clientCommand(process.execPath, to, port, protocol)], {}, signal)).stdout.trim(),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

/** An open connection to the application: its greeting, and what it says later. */
export class OpenConnection implements Disposable {
  readonly #socket: ReturnType<typeof connect>;
  text = '';
  isClosed = false;

  constructor(host: string, port: number) {
    this.#socket = connect(port, host);
    this.#socket.on('data', (data) => (this.text += data.toString()));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => (this.text += `${error.code ?? 'error'}\n`));
    this.#socket.on('close', () => (this.isClosed = true));
  }

  say(text: string): void {
    this.#socket.write(text);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** What a connection from this machine is greeted with, or the error's code. */
export function greeting(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('data', (data) => {
      resolve(data.toString().split('\n')[0] ?? '');
      socket.destroy();
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    socket.once('end', () => resolve('closed'));
  });
}

/** A sender of UDP that keeps its port: the kernel takes all it sends for one flow. */
export class SteadySender implements Disposable {
  readonly #socket = createSocket('udp4');
  readonly #target: readonly [host: string, port: number];
  /** Who answered last. */
  answer = '';

  constructor(host: string, port: number) {
    this.#target = [host, port];
    this.#socket.on('message', (message) => (this.answer = message.toString().split(' ')[0] ?? ''));
    this.#socket.on('error', () => undefined);
  }

  send(): void {
    const [host, port] = this.#target;
    this.#socket.send('?', port, host);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
