import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readTextIfExists } from '../../kernel/mod.ts';

/** One entry of apt's sources (sources.list(5)). */
export interface AptSource {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

/** The files that apt on this machine reads its sources from. */
export async function machineSourceFiles(): Promise<string[]> {
  const folder = '/etc/apt/sources.list.d';
  const names = await readdir(folder).catch(() => []);
  return ['/etc/apt/sources.list', ...names.filter((name) => /\.(?:list|sources)$/.test(name)).sort().map((name) => join(folder, name))];
}

/** Entries for the release's own suites (release, updates, security) with the component `main`, from the files, in order. */
export async function releaseSources(files: readonly string[], release: string): Promise<AptSource[]> {
  const wanted = [release, `${release}-updates`, `${release}-security`];
  const all: AptSource[] = [];
  for (const file of files) {
    const text = (await readTextIfExists(file)) ?? '';
    all.push(...(file.endsWith('.sources') ? parseStanzas(text) : parseLines(text)));
  }
  return all.flatMap((source) => {
    const suites = source.suites.filter((suite) => wanted.includes(suite));
    return suites.length === 0 || !source.components.includes('main') ? [] : [{ ...source, suites, components: ['main'] }];
  });
}

/** The deb822 form. Every entry is checked with the archive's own keys. */
export function formatSources(sources: readonly AptSource[]): string {
  return sources
    .map(({ uris, suites, components }) =>
      ['Types: deb', `URIs: ${uris.join(' ')}`, `Suites: ${suites.join(' ')}`, `Components: ${components.join(' ')}`, 'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg', ''].join('\n'),
    )
    .join('\n');
}

/** One-line entries: `deb [options] uri suite component…` */
export function parseLines(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+([^#]*)/.exec(line);
    if (match === null) return [];
    const [, uri = '', suite = '', components = ''] = match;
    return [{ uris: [uri], suites: [suite], components: components.trim().split(/\s+/) }];
  });
}

/** Stanzas of deb822 files; disabled ones and those without binary packages are left out. */
export function parseStanzas(text: string): AptSource[] {
  return text.split(/\n[ \t]*\n/).flatMap((stanza) => {
    const fields = parseFields(stanza);
    const words = (name: string): string[] => (fields.get(name) ?? '').split(/\s+/).filter((word) => word !== '');
    if (!words('types').includes('deb') || fields.get('enabled')?.toLowerCase() === 'no') return [];
    return [{ uris: words('uris'), suites: words('suites'), components: words('components') }];
  });
}

function parseFields(stanza: string): Map<string, string> {
  const fields = new Map<string, string>();
  let name = '';
  for (const line of stanza.split('\n')) {
    if (line.startsWith('#')) continue;
    const match = /^([A-Za-z][\w-]*):\s*(.*)$/.exec(line);
    if (match !== null) {
      name = (match[1] ?? '').toLowerCase();
      fields.set(name, match[2] ?? '');
    } else if (/^\s/.test(line) && name !== '') fields.set(name, `${fields.get(name) ?? ''} ${line.trim()}`);
  }
  return fields;
}
