import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { layers } from './layers.ts';

const source = resolve(import.meta.dirname, '../src');

interface Import { file: string; line: number; specifier: string }

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts')).toSorted();
const importsOf = new Map(files.map((file) => [file, findImports(file)]));

/** Static, re-exporting, type-only and dynamic imports. The forms are those the formatter leaves: one `from` a statement. */
function findImports(file: string): Import[] {
  const text = readFileSync(join(source, file), 'utf8');
  const found: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\b[^;'"]*?\bfrom\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm)) {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    found.push({ file, line: text.slice(0, match.index).split('\n').length, specifier });
  }
  return found;
}

function layerOf(file: string): string | undefined {
  return layers.map(({ folder }) => folder).filter((folder) => file.startsWith(`${folder}/`)).toSorted((a, b) => b.length - a.length)[0];
}

function targetOf({ file, specifier }: Import): string {
  return relative(source, resolve(source, dirname(file), specifier));
}

const isTest = (file: string): boolean => file.endsWith('.test.ts') || file.includes('/testing/');

test('every source file belongs to a layer of the table', () => {
  assert.deepEqual(files.filter((file) => layerOf(file) === undefined), []);
});

test('every layer has a mod.ts that begins with a header comment', () => {
  const missing = layers.filter(({ folder }) => {
    if (!files.includes(`${folder}/mod.ts`)) return true;
    return !readFileSync(join(source, folder, 'mod.ts'), 'utf8').startsWith('/**');
  });
  assert.deepEqual(missing.map(({ folder }) => folder), []);
});

test('layers import only the layers the table allows, and only through mod.ts', () => {
  const wrong: string[] = [];
  for (const found of [...importsOf.values()].flat()) {
    if (!found.specifier.startsWith('.')) continue;
    const [from, target] = [layerOf(found.file), targetOf(found)];
    const to = layerOf(target);
    if (from === to && !target.startsWith('..')) continue;
    // Tests may reach for any layer's face: real parts are the doubles.
    const isAllowed = isTest(found.file) || layers.find(({ folder }) => folder === from)?.imports.includes(to ?? '') === true;
    const isFace = target === `${to ?? ''}/mod.ts` || (isTest(found.file) && target.includes('/testing/'));
    if (!isAllowed || !isFace) wrong.push(`${found.file}:${found.line}: ${found.specifier}`);
  }
  assert.deepEqual(wrong, []);
});

test('layers use only the npm packages the table allows', () => {
  const wrong: string[] = [];
  for (const { file, line, specifier } of [...importsOf.values()].flat()) {
    if (specifier.startsWith('.') || specifier.startsWith('node:')) continue;
    const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
    const allowed = layers.find(({ folder }) => folder === layerOf(file))?.packages ?? [];
    if (!allowed.includes(name) && !(isTest(file) && name === 'fast-check')) wrong.push(`${file}:${line}: ${specifier}`);
  }
  assert.deepEqual(wrong, []);
});

test('Node modules are imported with the node: prefix', () => {
  const bare = [...importsOf.values()].flat().filter(({ specifier }) => !specifier.startsWith('node:') && builtinModules.includes(specifier));
  assert.deepEqual(bare, []);
});

test('no file imports its own layer through mod.ts', () => {
  const wrong = [...importsOf.values()].flat().filter((found) => {
    const target = targetOf(found);
    return found.specifier.startsWith('.') && !isTest(found.file) && target === `${layerOf(found.file) ?? ''}/mod.ts`;
  });
  assert.deepEqual(wrong.map(({ file, line }) => `${file}:${line}`), []);
});

test('there are no import cycles, types included', () => {
  const edges = new Map([...importsOf].map(([file, imports]) => [file, imports.filter(({ specifier }) => specifier.startsWith('.')).map(targetOf)]));
  const state = new Map<string, 'open' | 'done'>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (state.get(file) === 'done') return;
    if (state.get(file) === 'open') return void cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
    state.set(file, 'open');
    for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
    state.set(file, 'done');
  };
  for (const file of files) visit(file, []);
  assert.deepEqual(cycles, []);
});

test('process.env is read in two files only', () => {
  const readers = files.filter((file) => !isTest(file) && /\bprocess\.env\b/.test(readFileSync(join(source, file), 'utf8')));
  assert.deepEqual(readers.filter((file) => !['kernel/process.ts', 'cli/environment.ts'].includes(file)), []);
});
