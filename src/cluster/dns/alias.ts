import { randomInt } from 'node:crypto';
import { type Answer, decode, encode, type RecordType } from 'dns-packet';
import type { Forwarder } from './forwarder.ts';
import { type ClusterNames, lookup } from './records.ts';

/** Aliases that lead to aliases: so many, no more. */
const maxAliases = 8;
const recursionDesired = 1 << 8;
const truncated = 1 << 9;

/** What stands behind an alias, and the response code that it ends with. */
export interface Followed { readonly records: readonly Answer[]; readonly code: number }

/**
 * The records of an alias's target. Stub resolvers do not ask again for what a CNAME names: whoever answers them does
 * (RFC 1034 4.3.2), in the cluster's own names or upstream.
 */
export async function followAlias(names: ClusterNames, domain: string, forwarder: Forwarder, target: string, type: RecordType): Promise<Followed> {
  const records: Answer[] = [];
  let name = target;
  for (let count = 0; count < maxAliases; count += 1) {
    const result = lookup(names, domain, name, type);
    if (result.kind === 'missing') return { records, code: 3 };
    if (result.kind === 'forward') {
      const upstream = await askUpstream(forwarder, name, type);
      return { records: [...records, ...upstream.records], code: upstream.code };
    }
    records.push(...result.records);
    const alias = result.records.find((record) => record.type === 'CNAME');
    if (alias?.type !== 'CNAME' || type === 'CNAME') return { records, code: 0 };
    name = alias.data;
  }
  return { records: [], code: 2 };
}

async function askUpstream(forwarder: Forwarder, name: string, type: RecordType): Promise<Followed> {
  const query = encode({ id: randomInt(0x1_0000), type: 'query', flags: recursionDesired, questions: [{ type, name }] });
  try {
    let answer = await forwarder.forward(query, 'udp');
    if ((answer.readUInt16BE(2) & truncated) !== 0) answer = await forwarder.forward(query, 'tcp');
    return { records: decode(answer).answers ?? [], code: answer.readUInt16BE(2) & 0xf };
  } catch {
    return { records: [], code: 2 };
  }
}
