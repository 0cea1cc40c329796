import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { errnoOf, type ErrorCode, errorCodes, GantryError } from '../../kernel/mod.ts';
import { type InstanceOptions, interruptSignal, openInstanceOf } from '../session.ts';
import { formatAge, formatTable, print, printJson } from '../output.ts';

/** Asks the agent to make a base image. Progress goes to standard error, the name of the image to standard output. */
export async function bootstrapImage(name: string, options: InstanceOptions & { quiet?: boolean }): Promise<void> {
  const { paths } = await openInstanceOf(options);
  const response = await ask(paths.agentSocket, 'POST', `/images/bootstrap?name=${encodeURIComponent(name)}`, interruptSignal());
  for await (const line of lines(response)) {
    const message = JSON.parse(line) as { progress?: string; result?: string; error?: { code: string; message: string } };
    if (message.progress !== undefined && options.quiet !== true) process.stderr.write(`${message.progress}\n`);
    if (message.error !== undefined) throw new GantryError(errorCodes.find((code) => code === message.error?.code) ?? 'internal', message.error.message);
    if (message.result !== undefined) print(message.result);
  }
}

interface ListedImage { Id: string; RepoTags: string[]; Size: number; Created: number }

/** Through the Docker API, which is where images are listed for everyone. */
export async function listImages(options: InstanceOptions & { json?: boolean }): Promise<void> {
  const { paths } = await openInstanceOf(options);
  const response = await ask(paths.dockerSocket, 'GET', '/images/json', interruptSignal());
  const images = JSON.parse(await text(response)) as ListedImage[];
  if (options.json === true) return printJson(images);
  const rows = images.flatMap((image) =>
    (image.RepoTags.length === 0 ? ['<none>'] : image.RepoTags).map((tag) => [tag, image.Id.replace('sha256:', '').slice(0, 12), `${Math.round(image.Size / 1e6)} MB`, formatAge(new Date(image.Created * 1000).toISOString())]),
  );
  print(formatTable(['NAME', 'ID', 'SIZE', 'AGE'], rows));
}

/** `unavailable` when no agent listens; a failed answer becomes the agent's own error. */
async function ask(socketPath: string, method: string, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const call = request({ socketPath, method, path, signal }, resolve);
    call.once('error', (error) => reject(['ENOENT', 'ECONNREFUSED'].includes(errnoOf(error) ?? '') ? new GantryError('unavailable', "the node agent is not running; start it with 'gantry up'", { cause: error }) : error));
    call.end();
  });
  const status = response.statusCode ?? 0;
  if (status < 400) return response;
  const code = ({ 400: 'invalid', 404: 'not-found', 409: 'conflict' } as Record<number, ErrorCode>)[status] ?? 'internal';
  throw new GantryError(code, messageOf(await text(response)));
}

function messageOf(body: string): string {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null && 'message' in parsed && typeof parsed.message === 'string') return parsed.message;
  } catch {
    // Not JSON: the text is the message.
  }
  return body.trim();
}

async function text(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

async function* lines(response: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of response) {
    const parts = (rest + (chunk as Buffer).toString()).split('\n');
    rest = parts.pop() ?? '';
    yield* parts.filter((part) => part !== '');
  }
  if (rest !== '') yield rest;
}
