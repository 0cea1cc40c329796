import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { array, assert as check, asyncProperty, constantFrom, nat } from 'fast-check';
import { parse } from 'yaml';
import { z } from 'zod';
import { type Digest, familiarImageReference, type ImageConfig, parseImageReference } from '../../../src/api/mod.ts';
import { parseDockerfile } from '../../../src/builder/dockerfile/parse.ts';
import { parseIgnoreFile } from '../../../src/context/mod.ts';
import type { BuildPlan } from '../../../src/builder/plan/build-plan.ts';
import { planBuild } from '../../../src/builder/plan/planner.ts';
import { GantryError } from '../../../src/kernel/mod.ts';

/** A rule of the Dockerfile reference and what it means for some files. Everything but `name` and `dockerfile` may be left out. */
const vectors = z.strictObject({
  reference: z.url(),
  rule: z.string(),
  cases: z.array(
    z.strictObject({
      name: z.string(),
      dockerfile: z.string(),
      target: z.string().optional(),
      buildArgs: z.record(z.string(), z.string()).default({}),
      labels: z.record(z.string(), z.string()).default({}),
      allowed: z.array(z.enum(['network.host', 'security.insecure'])).default([]),
      /** Base images: their configuration, and with `@architecture` the platform. */
      images: z.record(z.string(), z.record(z.string(), z.unknown())).default({}),
      contexts: z.record(z.string(), z.union([z.strictObject({ kind: z.literal('folder') }), z.strictObject({ kind: z.literal('image'), reference: z.string() })])).default({}),
      ignore: z.string().optional(),
      isCheck: z.boolean().default(false),
      /** How the error begins, or a part of it. */
      error: z.string().optional(),
      /** Parts of the target's configuration. */
      config: z.record(z.string(), z.unknown()).optional(),
      /** Fields the configuration does not have. */
      without: z.array(z.string()).default([]),
      givenLabels: z.record(z.string(), z.string()).optional(),
      /** Parts of the target's steps, in their order. */
      steps: z.array(z.record(z.string(), z.unknown())).optional(),
      /** `line rule` of every warning. */
      warnings: z.array(z.string()).optional(),
      messages: z.array(z.string()).optional(),
    }),
  ),
});

type Case = z.output<typeof vectors>['cases'][number];

for (const file of globSync('test/conformance/dockerfile/*.yaml').toSorted()) {
  const { rule, cases } = vectors.parse(parse(readFileSync(file, 'utf8')));
  for (const vector of cases) test(`${basename(file, '.yaml')}: ${vector.name} (${rule})`, () => run(vector));
}

async function run(vector: Case): Promise<void> {
  if (vector.error !== undefined) {
    const { error } = vector;
    await assert.rejects(plan(vector), (thrown) => thrown instanceof GantryError && (thrown.message.includes(error) || assert.fail(`${JSON.stringify(thrown.message)} does not say ${JSON.stringify(error)}`)));
    return;
  }
  const planned = await plan(vector);
  const stage = planned.stages.find(({ index }) => index === planned.target);
  assert.ok(stage !== undefined);
  if (vector.config !== undefined) assert.deepEqual(pick(stage.state.config, Object.keys(vector.config)), vector.config);
  for (const field of vector.without) assert.equal((stage.state.config as Record<string, unknown>)[field], undefined, field);
  if (vector.givenLabels !== undefined) assert.deepEqual(planned.labels, vector.givenLabels);
  for (const [index, step] of (vector.steps ?? []).entries()) assert.partialDeepStrictEqual(stage.steps[index] ?? {}, step);
  if (vector.warnings !== undefined) assert.deepEqual(planned.warnings.map(({ line = '', reason, message }) => `${line} ${reason ?? message}`), vector.warnings);
  if (vector.messages !== undefined) assert.deepEqual(planned.warnings.map(({ message }) => message), vector.messages);
}

/** Every file of the vectors, cut, doubled and mixed: whatever comes of it ends, and every place lies in the file. */
test('parseDockerfile() and planBuild() fail on broken files only with invalid errors and places of the file', async () => {
  const texts = globSync('test/conformance/dockerfile/*.yaml').flatMap((file) => vectors.parse(parse(readFileSync(file, 'utf8'))).cases.map(({ dockerfile }) => dockerfile));
  const pieces = [...new Set(texts.flatMap((text) => text.match(/\S+|\s+/g) ?? []))].toSorted();
  const bases = { base: {}, nothing: {}, tool: {}, 'other:1': {} };
  const defaults = { name: '', buildArgs: {}, labels: {}, allowed: [], contexts: {}, isCheck: false, without: [], images: bases };
  await check(
    asyncProperty(constantFrom(...texts), nat(), nat(40), array(constantFrom(...pieces), { maxLength: 6 }), async (text, at, count, inserted) => {
      const start = at % (text.length + 1);
      const broken = text.slice(0, start) + inserted.join('') + text.slice(start + count);
      const lines = broken.replace(/^\uFEFF/, '').split(/\r?\n/);
      try {
        await plan({ ...defaults, dockerfile: broken });
      } catch (error) {
        assert.ok(error instanceof GantryError && ['invalid', 'not-found', 'unsupported'].includes(error.code), `${JSON.stringify(broken)}: ${String(error)}`);
        for (const { file, line = 1, column = 1 } of error.places) {
          if (file !== 'Dockerfile') continue;
          assert.ok(line >= 1 && line <= lines.length && column >= 1 && column <= (lines[line - 1] ?? '').length + 1, `${JSON.stringify(broken)}: ${line}:${column}`);
        }
      }
    }),
    // The same files every time: a run that fails says something about the change, not about luck.
    { numRuns: 3000, seed: 20_240_131 },
  );
});

async function plan(vector: Case): Promise<BuildPlan> {
  return planBuild(parseDockerfile(vector.dockerfile, 'Dockerfile'), {
    ...(vector.target === undefined ? {} : { target: vector.target }),
    buildArgs: vector.buildArgs,
    labels: vector.labels,
    network: 'default',
    platform: { os: 'linux', architecture: 'amd64' },
    contexts: new Map(Object.entries(vector.contexts)),
    ...(vector.ignore === undefined ? {} : { ignore: parseIgnoreFile(vector.ignore, '.dockerignore') }),
    isCheck: vector.isCheck,
    allowed: new Set(vector.allowed),
    resolveImage: async (reference) => imageOf(vector, reference),
  });
}

function imageOf({ images }: Case, reference: string): { id: Digest; config: ImageConfig } {
  const found = Object.entries(images).find(([name]) => familiar(name) === familiar(reference));
  if (found === undefined) throw new GantryError('not-found', `no image ${reference}`);
  const { '@architecture': architecture = 'amd64', ...config } = found[1];
  return { id: `sha256:${'0'.repeat(64)}` as Digest, config: { os: 'linux', architecture: String(architecture), config, rootfs: { type: 'layers', diff_ids: [] }, history: [] } };
}

function familiar(name: string): string {
  return familiarImageReference(parseImageReference(name));
}

function pick(value: object, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, (value as Record<string, unknown>)[key]]));
}
