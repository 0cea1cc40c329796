import type { Daemon } from './daemon.ts';

/** What an answer holds after everything that differs from run to run has a name instead: `<id>`, `<time>`, `<port>`. */
export type Plain = null | boolean | number | string | Plain[] | { [key: string]: Plain };

/** Numbers that differ from run to run or from machine to machine, by the name of their field. What is 0 stays 0. */
const countedKeys = new Set(['Pid', 'Created', 'Size', 'VirtualSize', 'SharedSize', 'SizeRw', 'SizeRootFs', 'LayersSize', 'time', 'timeNano', 'PublicPort', 'IPPrefixLen', 'SpaceReclaimed', 'size', 'mtime']);

/** Of the networks that cases make: `10.77` in the recording; here one of 64 ranges, so that two runs on one machine do not meet. */
export const subnetPrefix = `10.${64 + (process.pid % 64)}`;

/** Makes answers of two daemons and of two runs comparable. */
export function normalize(value: unknown, daemon: Daemon): Plain {
  return plain(value, '', daemon);
}

function plain(value: unknown, key: string, daemon: Daemon): Plain {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number') return countedKeys.has(key) && value > 0 ? `<${key}>` : value;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') return plainText(value, key, daemon);
  if (Array.isArray(value)) return value.map((entry) => plain(entry, key, daemon));
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return Object.fromEntries(entries.map(([name, entry]) => [plainText(name, '', daemon), plain(entry, name, daemon)]));
}

function plainText(text: string, key: string, daemon: Daemon): string {
  let result = text;
  for (const folder of daemon.ownFolders) result = result.replaceAll(folder, '<daemon>');
  result = result.replaceAll(daemon.folder, '<files>');
  if (key === 'Architecture' || key === 'architecture') return '<architecture>';
  if (key === 'DockerVersion' && text !== '') return '<version>';
  if (key === 'HostPort' && Number(text) > 30_000) return '<port>';
  return result
    .replaceAll(`${subnetPrefix}.`, '10.77.')
    .replace(/available: 0(-\d+)?$/, 'available: <cpus>')
    .replace(/Successfully copied \S+/g, 'Successfully copied <size>')
    .replace(/from 0\.01 to \d+\.00, as there are only \d+ CPUs/g, 'from 0.01 to <cpus>, as there are only <cpus> CPUs')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, (time) => (time.startsWith('0001-') ? time : '<time>'))
    .replace(/\b[0-9a-f]{64}\b/g, '<id>')
    .replace(/(?<![0-9a-z<-])[0-9a-f]{12}(?![0-9a-z-])/g, '<short id>')
    .replace(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, '<mac>')
    .replace(/\b(?!0\.0\.0\.0|127\.|10\.77\.)\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b/g, '<address>');
}
