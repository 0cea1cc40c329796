/**
 * Writes what is generated from other sources: Kubernetes' types and schemas, and the generated parts of the documentation.
 * `--check` writes nothing and exits 1 when something is not current.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatError } from '../src/kernel/mod.ts';
import { layers } from '../test/layers.ts';
import { dockerTables, scopedTable } from './generate-docker-page.ts';
import { kubernetesTables } from './generate-kubernetes-page.ts';
import { generateKubernetes } from './generate-kubernetes.ts';

const root = join(import.meta.dirname, '..');
const isCheck = process.argv.includes('--check');

try {
  const files = [...(await generateKubernetes()), architecturePage(), dockerPage(), kubernetesPage(), scopedPage()];
  const stale = files.filter(({ path, text }) => readFileSync(join(root, path), 'utf8') !== text);
  for (const { path, text } of stale) {
    console.log(`${isCheck ? 'not current' : 'written'}: ${path}`);
    if (!isCheck) writeFileSync(join(root, path), text);
  }
  if (isCheck && stale.length > 0) process.exitCode = 1;
} catch (error) {
  console.error(formatError(error));
  process.exitCode = 1;
}

/** docs/architecture.md with the layer table as it is. */
function architecturePage(): { path: string; text: string } {
  const path = 'docs/architecture.md';
  const rows = layers.map(({ folder, imports, packages }) => `| \`${folder}\` | ${shorten(imports)} | ${packages.join(', ')} |`);
  const table = ['| layer | may import | npm packages |', '|---|---|---|', ...rows].join('\n');
  const text = readFileSync(join(root, path), 'utf8').replace(
    /(<!-- generated:layers -->\n)[\s\S]*(<!-- \/generated:layers -->)/,
    (_, begin: string, end: string) => `${begin}${table}\n${end}`,
  );
  return { path, text };
}

/** docs/compatibility-docker.md with the end points and fields as they are. */
function dockerPage(): { path: string; text: string } {
  const path = 'docs/compatibility-docker.md';
  const text = readFileSync(join(root, path), 'utf8').replace(
    /(<!-- generated:docker -->\n)[\s\S]*(<!-- \/generated:docker -->)/,
    (_, begin: string, end: string) => `${begin}${dockerTables()}\n${end}`,
  );
  return { path, text };
}

/** docs/scoped-endpoints.md with the behaviour of every end point. */
function scopedPage(): { path: string; text: string } {
  const path = 'docs/scoped-endpoints.md';
  const text = readFileSync(join(root, path), 'utf8').replace(
    /(<!-- generated:scoped -->\n)[\s\S]*(<!-- \/generated:scoped -->)/,
    (_, begin: string, end: string) => `${begin}${scopedTable()}\n${end}`,
  );
  return { path, text };
}

/** docs/compatibility-kubernetes.md with the kinds and the refused fields as they are. */
function kubernetesPage(): { path: string; text: string } {
  const path = 'docs/compatibility-kubernetes.md';
  const { kinds, refused } = kubernetesTables();
  const text = readFileSync(join(root, path), 'utf8')
    .replace(/(<!-- generated:kinds -->\n)[\s\S]*(<!-- \/generated:kinds -->)/, (_, begin: string, end: string) => `${begin}${kinds}\n${end}`)
    .replace(/(<!-- generated:refused -->\n)[\s\S]*(<!-- \/generated:refused -->)/, (_, begin: string, end: string) => `${begin}${refused}\n${end}`);
  return { path, text };
}

function shorten(imports: readonly string[]): string {
  return imports.length > 10 ? 'all but cli' : imports.join(', ');
}
