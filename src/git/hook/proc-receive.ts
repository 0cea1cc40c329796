/**
 * The proc-receive hook (githooks(5)): hands the commands of a push to the server over a unix socket, passes its lines to the
 * pusher (standard error becomes `remote:` lines), and tells git what became of each ref. The server has moved accepted refs itself.
 * A server that goes away refuses every ref that it had not yet reported.
 */
import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import type { HookReply, HookRequest } from './messages.ts';
import { encodePacket, flushPacket, PacketReader } from './pkt-line.ts';

type Command = HookRequest['commands'][number];

/** Reads the sections of packets, each ended by a flush: version, commands and, if negotiated, push options. */
async function* readSections(): AsyncGenerator<string[], undefined> {
  const reader = new PacketReader();
  let section: string[] = [];
  for await (const chunk of process.stdin) {
    for (const packet of reader.push(chunk as Buffer)) {
      if (packet.type === 'data') section.push(packet.payload.toString().replace(/\n$/, ''));
      else {
        yield section;
        section = [];
      }
    }
  }
  return undefined;
}

function parseCommand(line: string): Command {
  const [before = '', after = '', ...ref] = line.split(' ');
  return { before, after, ref: ref.join(' ') };
}

/** Asks the server; returns the report of each ref. */
function ask(request: HookRequest, socketPath: string): Promise<Map<string, string>> {
  const reports = new Map<string, string>();
  return new Promise((resolve) => {
    const socket = createConnection(socketPath);
    socket.on('error', () => resolve(reports));
    socket.on('close', () => resolve(reports));
    socket.write(`${JSON.stringify(request)}\n`);
    createInterface({ input: socket, crlfDelay: Infinity }).on('line', (text) => {
      const reply = JSON.parse(text) as HookReply;
      if ('line' in reply) process.stderr.write(`${reply.line}\n`);
      else if ('done' in reply) socket.end();
      else reports.set(reply.report.ref, reply.report.isAccepted ? `ok ${reply.report.ref}` : `ng ${reply.report.ref} ${reply.report.reason ?? 'refused'}`);
    });
  });
}

async function main(socketPath: string, token: string): Promise<void> {
  const sections = readSections();
  const version = (await sections.next()).value?.[0] ?? '';
  const [name, capabilities = ''] = version.split('\0');
  if (name !== 'version=1') throw new Error(`git speaks version ${JSON.stringify(name)} of the proc-receive protocol; 1 is supported`);
  const isAtomic = capabilities.split(' ').includes('atomic');
  process.stdout.write(Buffer.concat([encodePacket(isAtomic ? 'version=1\0atomic\n' : 'version=1\n'), flushPacket]));
  const commands = ((await sections.next()).value ?? []).map(parseCommand);
  const reports = await ask({ token, isAtomic, commands }, socketPath);
  const answers = commands.map(({ ref }) => encodePacket(reports.get(ref) ?? `ng ${ref} the server stopped before the push was decided; push again`));
  process.stdout.write(Buffer.concat([...answers, flushPacket]));
}

// The wrapper script gives both by descriptor 3: arguments would show the token to every user of the machine.
const [socketPath = '', token = ''] = readFileSync(3, 'utf8').split('\n');
await main(socketPath, token);
process.stdin.destroy();
