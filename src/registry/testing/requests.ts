import { createHash } from 'node:crypto';

export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export interface Answer { readonly status: number; readonly headers: Headers; readonly text: string }

/** One request without any client's help. */
export async function send(url: string, method = 'GET', headers: Record<string, string> = {}, body?: Uint8Array | string): Promise<Answer> {
  const response = await fetch(url, { method, headers, redirect: 'manual', ...(body === undefined ? {} : { body: body as string }) });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** Status and first error code. */
export function codeOf(answer: Answer): [number, string] {
  return [answer.status, (JSON.parse(answer.text) as { errors: { code: string }[] }).errors[0]?.code ?? ''];
}

/** Credentials as HTTP Basic has them. */
export function basic(user: string, password = `${user}-secret`): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}
