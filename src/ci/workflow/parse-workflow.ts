import type { TemplateToken } from '@actions/workflow-parser/templates/tokens/template-token';
import { type ErrorPlace, formatPlace, GantryError } from '../../kernel/mod.ts';
import type { Job, PushFilter, TemplateMap, Triggers, Workflow } from './model.ts';
import { type JobDefaults, parseDefaults, parseJobs } from './parse-job.ts';
import { environmentNamePattern, TokenReader } from './token-reader.ts';
import type { Toolkit } from './toolkit.ts';
import { YamlSource } from './yaml-source.ts';

/** A workflow file of more than this is refused before it is parsed. */
const maxFileBytes = 512 << 10;

/**
 * Parses a workflow file. Whatever is wrong or not supported is thrown as one `invalid` with the place of each, before anything runs:
 * first GitHub's own schema, then our list of keys that we honour.
 */
export function parseWorkflow(toolkit: Toolkit, text: string, path: string): Workflow {
  if (Buffer.byteLength(text) > maxFileBytes) throw invalid([{ file: path, message: `the file is larger than ${maxFileBytes} bytes` }]);
  const source = new YamlSource(text);
  if (source.problem !== undefined) throw invalid([{ file: path, line: 1, column: 1, message: source.problem }]);
  const { root, errors } = toolkit.parseWorkflow(text, path);
  const reader = new TokenReader(toolkit, path, source);
  reader.errors.push(...errors);
  const workflow = root === undefined || !reader.isMapping(root) ? undefined : readWorkflow(reader, root, path);
  if (workflow === undefined && reader.errors.length === 0) reader.errors.push({ file: path, line: 1, column: 1, message: 'the file is not a workflow' });
  if (reader.errors.length > 0 || workflow === undefined) throw invalid(reader.errors);
  return workflow;
}

function invalid(places: ErrorPlace[]): GantryError {
  const sorted = places.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
  const unique = sorted.filter((place, index) => sorted.findIndex((other) => formatPlace(other) === formatPlace(place)) === index);
  return new GantryError('invalid', unique.map(formatPlace).join('\n'), { places: unique });
}

function readWorkflow(reader: TokenReader, root: TemplateToken, path: string): Workflow {
  let name = path;
  let triggers: Triggers = { push: undefined, isManual: false };
  let env: TemplateMap = [];
  let defaults: JobDefaults = { shell: undefined, workingDirectory: undefined };
  let jobsToken: TemplateToken | undefined;
  reader.mapping(root, 'a workflow', {
    name: (value) => { name = reader.literal(value, 'name'); },
    on: (value) => { triggers = readTriggers(reader, value); },
    env: (value) => { env = reader.templateMap(value, 'env', environmentNamePattern); },
    defaults: (value) => { defaults = parseDefaults(reader, value, defaults); },
    permissions: (value) => checkPermissions(reader, value),
    jobs: (value) => { jobsToken = value; },
  });
  const jobs: readonly Job[] = jobsToken === undefined ? [] : parseJobs(reader, jobsToken, defaults);
  return { path, name, triggers, env, jobs };
}

/** Jobs get no token at all, so asking for less is honoured by itself and asking for more cannot be. */
export function checkPermissions(reader: TokenReader, token: TemplateToken): void {
  const check = (value: TemplateToken): void => {
    if (!['read', 'none', 'read-all'].includes(reader.literal(value, 'permissions'))) reader.fail(value, 'jobs have no token, so they cannot be given permission to write');
  };
  if (reader.isMapping(token)) for (const { value } of reader.entries(token, 'permissions')) check(value);
  else check(token);
}

const unsupportedEvent = 'only push and workflow_dispatch start a workflow here';

function readTriggers(reader: TokenReader, token: TemplateToken): Triggers {
  let push: PushFilter | undefined;
  let isManual = false;
  const event = (nameToken: TemplateToken, name: string, value: TemplateToken | undefined): void => {
    if (name === 'push') push = value === undefined ? {} : readPushFilter(reader, value);
    else if (name === 'workflow_dispatch') {
      isManual = true;
      if (value !== undefined) reader.mapping(value, 'workflow_dispatch', {});
    } else reader.fail(nameToken, `the event ${name} is not supported: ${unsupportedEvent}`);
  };
  if (reader.isMapping(token)) for (const { key, name, value } of reader.entries(token, 'on')) event(key, name, value);
  else for (const item of reader.items(token)) event(item, reader.literal(item, 'on'), undefined);
  return { push, isManual };
}

function readPushFilter(reader: TokenReader, token: TemplateToken): PushFilter {
  const filter: { -readonly [K in keyof PushFilter]: PushFilter[K] } = {};
  reader.mapping(token, 'push', {
    branches: (value) => { filter.branches = reader.literals(value, 'branches'); },
    'branches-ignore': (value) => { filter.branchesIgnore = reader.literals(value, 'branches-ignore'); },
    tags: (value) => { filter.tags = reader.literals(value, 'tags'); },
    'tags-ignore': (value) => { filter.tagsIgnore = reader.literals(value, 'tags-ignore'); },
    paths: (value) => { filter.paths = reader.literals(value, 'paths'); },
    'paths-ignore': (value) => { filter.pathsIgnore = reader.literals(value, 'paths-ignore'); },
  });
  for (const name of ['branches', 'tags', 'paths'] as const) {
    if (filter[name] !== undefined && filter[`${name}Ignore`] !== undefined) reader.fail(token, `${name} and ${name}-ignore cannot be used together`);
  }
  return filter;
}
