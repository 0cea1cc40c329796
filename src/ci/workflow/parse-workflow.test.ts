import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GantryError } from '../../kernel/mod.ts';
import { Evaluation } from '../expressions/evaluate.ts';
import { defaultWorkflow } from './default-workflow.ts';
import { matchesFilterPatterns } from './filter-pattern.ts';
import type { Template } from './model.ts';
import { parseWorkflow } from './parse-workflow.ts';
import { parseServiceOptions } from './service-options.ts';
import { Toolkit } from './toolkit.ts';
import { isTriggeredByPush } from './triggers.ts';

const toolkit = await Toolkit.load();
const path = '.github/workflows/ci.yml';

function errorsOf(text: string): string[] {
  try {
    parseWorkflow(toolkit, text, path);
    return [];
  } catch (error) {
    assert.ok(error instanceof GantryError && error.code === 'invalid', String(error));
    return error.places.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`);
  }
}

function show(template: Template | undefined): string | undefined {
  if (template === undefined || template.kind === 'text') return template?.text;
  if (template.kind === 'expression') return `\${{ ${template.expression} }}`;
  return template.parts.map((part) => (part.kind === 'text' ? part.text : `\${{ ${part.expression} }}`)).join('');
}

test('parseWorkflow() reads all that is supported', () => {
  const workflow = parseWorkflow(toolkit, `
name: CI
on:
  push: { branches: [main, 'release/**'], paths-ignore: ['docs/**'] }
  workflow_dispatch:
permissions: { contents: read }
env: { A: 1, B: "\${{ github.sha }}" }
defaults: { run: { shell: bash } }
jobs:
  unit:
    name: Unit tests
    runs-on: ubuntu-latest
    container: { image: 'node:24-slim', env: { C: c } }
    services:
      db:
        image: postgres:16
        env: { POSTGRES_PASSWORD: x }
        ports: ['5432:5432', 9000]
        options: >-
          --health-cmd "pg_isready -U postgres" --health-interval 2s --health-timeout=1s --health-retries 5 -e D=d
      cache: redis:7
    timeout-minutes: 5
    env: { E: true }
    outputs: { version: "\${{ steps.v.outputs.version }}" }
    defaults: { run: { working-directory: app } }
    steps:
      - uses: actions/checkout@v4
        with: { path: app, fetch-depth: 1, persist-credentials: false }
      - id: v
        name: Version
        if: success() && github.ref == 'refs/heads/main'
        run: echo "version=1" >> "$GITHUB_OUTPUT"
        shell: sh
        continue-on-error: true
        timeout-minutes: 1
  image:
    needs: [unit]
    if: \${{ always() }}
    runs-on: \${{ matrix.os }}
    strategy: { fail-fast: false, matrix: { os: [a, b], include: [{ os: c, extra: 1 }] } }
    steps:
      - uses: docker/build-push-action@v6
        with: { push: true, tags: 'shop:1' }
`, path);
  assert.deepEqual(workflow.triggers, { push: { branches: ['main', 'release/**'], pathsIgnore: ['docs/**'] }, isManual: true });
  assert.deepEqual(workflow.env.map(({ name, value }) => [name, show(value)]), [['A', '1'], ['B', '${{ github.sha }}']]);
  assert.deepEqual(workflow.jobs.map(({ id, key, needs, matrix, isFailFast }) => ({ id, key, needs, matrix, isFailFast })), [
    { id: 'unit', key: 'unit', needs: [], matrix: undefined, isFailFast: false },
    { id: 'image-1', key: 'image', needs: ['unit'], matrix: { os: 'a' }, isFailFast: false },
    { id: 'image-2', key: 'image', needs: ['unit'], matrix: { os: 'b' }, isFailFast: false },
    { id: 'image-3', key: 'image', needs: ['unit'], matrix: { os: 'c', extra: 1 }, isFailFast: false },
  ]);
  const [unit, image] = workflow.jobs;
  assert.deepEqual(unit?.services.map(({ name, image: of, ports, healthCommand, readyTimeoutSeconds, env }) => ({ name, image: show(of), ports, healthCommand, readyTimeoutSeconds, env: env.map((entry) => entry.name) })), [
    { name: 'db', image: 'postgres:16', ports: [5432, 9000], healthCommand: 'pg_isready -U postgres', readyTimeoutSeconds: 15, env: ['POSTGRES_PASSWORD', 'D'] },
    { name: 'cache', image: 'redis:7', ports: [], healthCommand: undefined, readyTimeoutSeconds: 120, env: [] },
  ]);
  assert.deepEqual([show(unit?.shell), show(unit?.workingDirectory), show(unit?.timeoutMinutes)], ['bash', 'app', '5']);
  assert.deepEqual(unit?.steps.map((step) => [step.kind, step.id, show(step.condition)]), [['checkout', undefined, undefined], ['run', 'v', "${{ success() && github.ref == 'refs/heads/main' }}"]]);
  assert.deepEqual(image?.steps.map((step) => step.kind === 'build-push' && Object.entries(step.inputs).map(([name, value]) => [name, show(value)])), [[['push', 'true'], ['tags', 'shop:1']]]);
});

test('parseWorkflow() rejects what it does not honour, with the place of each, all at once', () => {
  assert.deepEqual(errorsOf(`on: [push, pull_request]
run-name: x
concurrency: c
permissions: write-all
jobs:
  a:
    runs-on: [self-hosted, linux]
    environment: production
    continue-on-error: true
    container: { image: x, volumes: ['/:/host'], options: --privileged }
    services:
      db: { image: y, ports: ['15432:5432'], options: --network host }
    steps:
      - uses: actions/setup-node@v4
      - uses: actions/checkout@v4
        with: { ref: main, fetch-depth: 0 }
      - run: echo \${{ hashFiles('x') }}
        background: true
      - run: "true"
        env: { 'A-B': 1 }
`), [
    `${path}:1:12 the event pull_request is not supported: only push and workflow_dispatch start a workflow here`,
    `${path}:2:1 the key run-name of a workflow is not supported`,
    `${path}:3:1 the key concurrency of a workflow is not supported`,
    `${path}:4:14 jobs have no token, so they cannot be given permission to write`,
    `${path}:7:14 runs-on must be one label`,
    `${path}:8:5 the key environment of a job is not supported: releases are made by delivery after the push`,
    `${path}:9:5 the key continue-on-error of a job is not supported`,
    `${path}:10:38 the volume "/:/host" is not supported: jobs share the workspace and nothing of the host but /var/run/docker.sock:/var/run/docker.sock, which is a socket of the job's own`,
    `${path}:10:50 the key options of a container is not supported`,
    `${path}:12:31 the port 5432 cannot be mapped to 15432: jobs reach services by their name at the container's own port`,
    `${path}:12:55 options: --network host is not supported; supported are --health-cmd, --health-interval, --health-timeout, --health-retries, --health-start-period and --env`,
    `${path}:14:15 the action actions/setup-node@v4 is not supported; built in are actions/checkout and docker/build-push-action`,
    `${path}:16:17 the key ref of actions/checkout is not supported: the commit that was pushed is checked out`,
    `${path}:16:41 only fetch-depth: 1 is supported: the files of the commit are checked out, without history`,
    `${path}:17:14 the function hashFiles is not supported`,
    `${path}:18:9 Unexpected value 'background'`,
    `${path}:20:16 env: "A-B" is not a valid name`,
  ]);
});

test('parseWorkflow() reports mistakes with their place', () => {
  const job = (body: string): string => `on: push\njobs:\n  a:\n    runs-on: x\n${body}`;
  const cases: [text: string, expected: string[]][] = [
    ['on: push\njobs: {}\n', [`${path}:2:7 a workflow needs at least one job`]],
    ['on: push\njobs:\n  a: {runs-on: x, steps: [{run: y}]}\n  a: 1\n', [`${path}:4:3 'a' is already defined`]],
    ['a: [\n', [`${path}:2:1 Flow sequence in block collection must be sufficiently indented and end with a ]`]],
    [job('    needs: b\n    steps: [{run: y}]\n'), [`${path}:3:3 the job a needs b, which is no job of this workflow`]],
    [job('    needs: b\n    steps: [{run: y}]\n  b: {runs-on: x, needs: a, steps: [{run: y}]}\n'), [`${path}:3:3 the jobs need each other in a circle: a → b → a`]],
    [job('    steps:\n      - run: echo ${{ nope.x }}\n'), [`${path}:6:19 Unrecognized named-value: 'nope'`]],
    [job('    steps:\n      - {run: x, if: "github.ref =="}\n'), [`${path}:6:22 Unexpected end of expression: '=='`]],
    [job('    steps: [{run: y, id: s}, {run: z, id: s}]\n'), [`${path}:5:30 the step id s is used twice in this job`]],
    [job('    steps: []\n'), [`${path}:3:3 the job a has no steps`]],
    [job('    strategy: {matrix: {x: "${{ fromJSON(1) }}"}}\n    steps: [{run: y}]\n'), [`${path}:5:29 matrix.x must be a list`, `${path}:5:24 the matrix has no combination`].toSorted()],
    ['', [`${path}:1:1 Expected a scalar value, a sequence, or a mapping`]],
  ];
  for (const [text, expected] of cases) assert.deepEqual(errorsOf(text).toSorted(), expected, text);
  assert.match(errorsOf(`on: push\n#${'x'.repeat(600_000)}`)[0] ?? '', /larger than/);
});

test('defaultWorkflow() tests with npm and builds the Dockerfile', () => {
  const cases: [Parameters<typeof defaultWorkflow>[0], string[] | undefined][] = [
    [{ scripts: undefined, hasLockFile: false, hasDockerfile: false }, undefined],
    [{ scripts: ['start'], hasLockFile: true, hasDockerfile: false }, undefined],
    [{ scripts: ['test', 'test:e2e'], hasLockFile: true, hasDockerfile: false }, ['test: checkout, npm ci, npm run test']],
    [{ scripts: ['test:unit', 'test:e2e'], hasLockFile: false, hasDockerfile: true }, ['test: checkout, npm install --no-audit --no-fund, npm run test:unit, npm run test:e2e', 'image after test: build-push']],
    [{ scripts: undefined, hasLockFile: false, hasDockerfile: true }, ['image: build-push']],
  ];
  for (const [contents, expected] of cases) {
    const text = defaultWorkflow(contents, 'shop');
    const jobs = text === undefined ? undefined : parseWorkflow(toolkit, text, '<default pipeline>').jobs;
    assert.deepEqual(jobs?.map(({ id, needs, steps }) => `${id}${needs.length > 0 ? ` after ${needs.join()}` : ''}: ${steps.map((step) => (step.kind === 'run' ? show(step.run) : step.kind)).join(', ')}`), expected);
  }
});

test('matchesFilterPatterns() follows the cheat sheet', () => {
  const cases: [patterns: string[], text: string, expected: boolean][] = [
    [['*'], 'main', true],
    [['*'], 'a/b', false],
    [['**'], 'a/b', true],
    [['feature/*'], 'feature/x', true],
    [['feature/*'], 'feature/x/y', false],
    [['v[12].[0-9]+.[0-9]+'], 'v1.10.1', true],
    [['v[12].[0-9]+.[0-9]+'], 'v3.0.0', false],
    [['*.jsx?'], 'page.js', true],
    [['**.js'], 'src/js/app.js', true],
    [['docs/**/*.md'], 'docs/hello.md', true],
    [['docs/**/*.md'], 'docs/a/b/hello.md', true],
    [['**/README.md'], 'js/README.md', true],
    [['releases/**', '!releases/**-alpha'], 'releases/10-alpha', false],
    [['releases/**', '!releases/**-alpha', 'releases/10-alpha'], 'releases/10-alpha', true],
    [['a.b'], 'axb', false],
    [['a(b'], 'a(b', true],
  ];
  for (const [patterns, text, expected] of cases) assert.equal(matchesFilterPatterns(patterns, text), expected, `${patterns.join()} ${text}`);
});

test('isTriggeredByPush() applies branch, tag and path filters', () => {
  const cases: [filter: NonNullable<Parameters<typeof isTriggeredByPush>[0]['push']>, ref: string, files: string[], expected: boolean][] = [
    [{}, 'refs/heads/x', [], true],
    [{}, 'refs/tags/v1', [], true],
    [{ branches: ['main'] }, 'refs/heads/main', [], true],
    [{ branches: ['main'] }, 'refs/heads/other', [], false],
    [{ branches: ['main'] }, 'refs/tags/v1', [], false],
    [{ tags: ['v*'] }, 'refs/heads/main', [], false],
    [{ tags: ['v*'] }, 'refs/tags/v1', [], true],
    [{ branchesIgnore: ['wip/**'] }, 'refs/heads/wip/a', [], false],
    [{ branchesIgnore: ['wip/**'] }, 'refs/heads/main', [], true],
    [{ paths: ['src/**'] }, 'refs/heads/main', ['docs/a'], false],
    [{ paths: ['src/**'] }, 'refs/heads/main', ['docs/a', 'src/b'], true],
    [{ pathsIgnore: ['docs/**'] }, 'refs/heads/main', ['docs/a'], false],
    [{ pathsIgnore: ['docs/**'] }, 'refs/heads/main', ['docs/a', 'src/b'], true],
    [{ paths: ['src/**'] }, 'refs/tags/v1', [], true],
  ];
  for (const [push, ref, files, expected] of cases) assert.equal(isTriggeredByPush({ push, isManual: false }, ref, files), expected, JSON.stringify([push, ref, files]));
  assert.equal(isTriggeredByPush({ push: undefined, isManual: true }, 'refs/heads/main', []), false);
});

test('parseServiceOptions() names what it cannot honour', () => {
  assert.deepEqual(parseServiceOptions(`--health-cmd 'a "b"' --health-interval=1m --health-retries 2 --health-start-period 10s`), { health: { command: 'a "b"', timeoutSeconds: 190 }, env: [] });
  assert.deepEqual(parseServiceOptions(''), { health: {}, env: [] });
  for (const bad of ['--cpus 1', '--health-cmd', "--health-cmd 'x", '--health-retries x', '-e A']) assert.ok('problem' in parseServiceOptions(bad), bad);
});

test('parseWorkflow() keeps the text around expressions as YAML means it', () => {
  const { jobs } = parseWorkflow(toolkit, `on: push
jobs:
  a:
    runs-on: x
    env:
      PLAIN: a\${{ github.sha }}b
      DOUBLE: "x\\t\${{ github.sha }}"
      SINGLE: 'it''s \${{ github.sha }}'
      FOLDED: >-
        one \${{ github.sha }}
        two
    steps:
      - run: |
          cat <<EOF
            {x} \${{ format('{0}}}''', 'a''b''c') }}
          EOF
          echo 'q' "\${{ github.ref }}"
        if: |
          \${{ always() }}
`, path);
  const [job] = jobs;
  assert.deepEqual(job?.env.map(({ name, value }) => [name, show(value)]), [['PLAIN', 'a${{ github.sha }}b'], ['DOUBLE', 'x\t${{ github.sha }}'], ['SINGLE', "it's ${{ github.sha }}"], ['FOLDED', 'one ${{ github.sha }} two']]);
  const [step] = job?.steps ?? [];
  assert.ok(step?.kind === 'run');
  assert.equal(show(step.condition), '${{ always() }}');
  assert.equal(new Evaluation(toolkit, { github: { ref: "r'" } }).text(step.run), "cat <<EOF\n  {x} a'b'c}'\nEOF\necho 'q' \"r'\"\n");
});

test('parseWorkflow() refuses aliases that blow up, and an if with text around its expression', () => {
  const levels = Array.from({ length: 40 }, (_, index) => `  L${index + 1}: &l${index + 1} [*l${index}, *l${index}]`);
  assert.deepEqual(errorsOf(`on: push\nx:\n  L0: &l0 a\n${levels.join('\n')}\njobs: {}\n`), [`${path}:1:1 the aliases of the file stand for more than 100000 values`]);
  assert.deepEqual(errorsOf('on: push\njobs:\n  a:\n    runs-on: x\n    if: "${{ github.ref }} == 1"\n    steps: [{run: y}]\n'), [`${path}:5:9 an if is one expression: text around \${{ }} would make it always true`]);
  const shared = 'on: push\njobs:\n  a: &a\n    runs-on: x\n    steps: [{run: y}]\n  b: *a\n';
  assert.deepEqual(parseWorkflow(toolkit, shared, path).jobs.map(({ id }) => id), ['a', 'b']);
});
