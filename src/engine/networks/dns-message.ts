import { formatIp, ipBytes } from '../../host/mod.ts';

/** The first question of a DNS query (RFC 1035, 4.1). Names are lower-case, without the final dot. */
export interface DnsQuestion { readonly id: number; readonly name: string; readonly type: number; readonly isClassIn: boolean; readonly end: number }

export const dnsTypes = { a: 1, ptr: 12, aaaa: 28 } as const;

/** Response codes. */
export const dnsCodes = { success: 0, formatError: 1, serverFailure: 2, noSuchName: 3 } as const;

const headerBytes = 12;

/** Undefined when the message is no query with exactly one question, or is malformed. */
export function parseQuestion(message: Buffer): DnsQuestion | undefined {
  if (message.length < headerBytes + 5) return undefined;
  const isQuery = (message.readUInt16BE(2) & 0xf800) === 0;
  if (!isQuery || message.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let offset = headerBytes;
  for (;;) {
    const length = message[offset];
    // Compression has no place in the first name of a message.
    if (length === undefined || length > 63) return undefined;
    offset += 1;
    if (length === 0) break;
    if (offset + length >= message.length || labels.length > 127) return undefined;
    labels.push(message.toString('latin1', offset, offset + length).toLowerCase());
    offset += length;
  }
  if (offset + 4 > message.length) return undefined;
  return { id: message.readUInt16BE(0), name: labels.join('.'), type: message.readUInt16BE(offset), isClassIn: message.readUInt16BE(offset + 2) === 1, end: offset + 4 };
}

/** An answer to the question. Of type A or AAAA when `addresses` are given, PTR with `names`; neither: the name exists and has no such record. */
export function encodeAnswer(query: Buffer, question: DnsQuestion, answer: { code: number; addresses?: readonly string[]; names?: readonly string[] }): Buffer {
  const records = [
    ...(answer.addresses ?? []).map((address) => encodeRecord(address.includes(':') ? dnsTypes.aaaa : dnsTypes.a, ipBytes(address))),
    ...(answer.names ?? []).map((name) => encodeRecord(dnsTypes.ptr, encodeName(name))),
  ];
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(question.id, 0);
  const recursionDesired = query.readUInt16BE(2) & 0x0100;
  const [isResponse, isAuthoritative, recursionAvailable] = [0x8000, 0x0400, 0x0080];
  header.writeUInt16BE(isResponse | isAuthoritative | recursionDesired | recursionAvailable | answer.code, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, query.subarray(headerBytes, question.end), ...records]);
}

/** Seconds that an answer may be kept: containers come and go. */
const timeToLiveSeconds = 5;

function encodeRecord(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  // The name is a pointer to the question's.
  head.writeUInt16BE(0xc000 | headerBytes, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(timeToLiveSeconds, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  return Buffer.concat([...labels.map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, 'latin1')])), Buffer.of(0)]);
}

/** The address of a reverse name: `4.3.2.1.in-addr.arpa` → `1.2.3.4`, and 32 digits before `ip6.arpa` (RFC 3596, 2.5). */
export function addressOfReverseName(name: string): string | undefined {
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  if (four !== null) return [four[4], four[3], four[2], four[1]].join('.');
  const six = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name);
  return six === null ? undefined : formatIp(Buffer.from((six[1] ?? '').replaceAll('.', '').split('').toReversed().join(''), 'hex'));
}
