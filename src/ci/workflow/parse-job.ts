import type { TemplateToken } from '@actions/workflow-parser/templates/tokens/template-token';
import { parseContainer, parseServices } from './parse-container.ts';
import { expandMatrix, type Matrix, parseStrategy } from './matrix.ts';
import type { Job, JobContainer, Service, Step, Template, TemplateMap } from './model.ts';
import { parseSteps } from './parse-step.ts';
import { environmentNamePattern, type TokenReader } from './token-reader.ts';

/** `defaults.run`. */
export interface JobDefaults {
  readonly shell: Template | undefined;
  readonly workingDirectory: Template | undefined;
}

const namePattern = /^[A-Za-z_][A-Za-z0-9_-]{0,99}$/;
export function parseDefaults(reader: TokenReader, token: TemplateToken, above: JobDefaults): JobDefaults {
  let { shell, workingDirectory } = above;
  reader.mapping(token, 'defaults', {
    run: (run) =>
      reader.mapping(run, 'defaults.run', {
        shell: (value) => { shell = reader.template(value, 'shell'); },
        'working-directory': (value) => { workingDirectory = reader.template(value, 'working-directory'); },
      }),
  });
  return { shell, workingDirectory };
}

/** All jobs, matrices expanded. Reports needs that name no job, and circles. */
export function parseJobs(reader: TokenReader, token: TemplateToken, defaults: JobDefaults): Job[] {
  const entries = reader.entries(token, 'jobs');
  const jobs = entries.flatMap(({ key, name, value }) => {
    if (!namePattern.test(name)) reader.fail(key, `${JSON.stringify(name)} is not a valid job id`);
    return parseJob(reader, key, name, value, defaults);
  });
  if (entries.length === 0) reader.fail(token, 'a workflow needs at least one job');
  checkNeeds(reader, jobs);
  return jobs;
}

const reasons: Record<string, string> = {
  uses: 'reusable workflows are not run',
  environment: 'releases are made by delivery after the push',
  concurrency: 'runs of a repository do not wait for each other',
};

function parseJob(reader: TokenReader, key: TemplateToken, id: string, token: TemplateToken, above: JobDefaults): Job[] {
  let name: Template | undefined;
  let needs: string[] = [];
  let condition: Template | undefined;
  let runsOn: Template | undefined;
  let container: JobContainer | undefined;
  let services: Service[] = [];
  let env: TemplateMap = [];
  let outputs: TemplateMap = [];
  let defaults = above;
  let timeoutMinutes: Template | undefined;
  let matrix: Matrix | undefined;
  let steps: Step[] = [];
  reader.mapping(token, 'a job', {
    name: (value) => { name = reader.template(value, 'name'); },
    needs: (value) => { needs = reader.literals(value, 'needs'); },
    if: (value) => { condition = reader.condition(value); },
    'runs-on': (value) => { runsOn = readRunsOn(reader, value); },
    container: (value) => { container = parseContainer(reader, value); },
    services: (value) => { services = parseServices(reader, value); },
    env: (value) => { env = reader.templateMap(value, 'env', environmentNamePattern); },
    outputs: (value) => { outputs = reader.templateMap(value, 'outputs'); },
    defaults: (value) => { defaults = parseDefaults(reader, value, above); },
    'timeout-minutes': (value) => { timeoutMinutes = reader.template(value, 'timeout-minutes'); },
    strategy: (value) => { matrix = parseStrategy(reader, value); },
    steps: (value) => { steps = parseSteps(reader, value); },
  }, reasons);
  if (runsOn === undefined) return [];
  if (steps.length === 0) reader.fail(key, `the job ${id} has no steps`);
  const job = { key: id, name, needs, condition, runsOn, container, services, env, outputs, ...defaults, timeoutMinutes, steps, place: reader.placeOf(key) };
  if (matrix === undefined) return [{ ...job, id, matrix: undefined, isFailFast: false }];
  const { isFailFast, ...rest } = matrix;
  return expandMatrix(rest).map((combination, index) => ({ ...job, id: `${id}-${index + 1}`, matrix: combination, isFailFast }));
}

function readRunsOn(reader: TokenReader, token: TemplateToken): Template | undefined {
  const items = reader.isMapping(token) ? [] : reader.items(token);
  const [item] = items;
  if (item !== undefined && items.length === 1) return reader.template(item, 'runs-on');
  reader.fail(token, 'runs-on must be one label');
  return undefined;
}

function checkNeeds(reader: TokenReader, jobs: readonly Job[]): void {
  const byKey = new Map(jobs.map((job) => [job.key, job]));
  const state = new Map<string, 'open' | 'done'>();
  const visit = (key: string, path: readonly string[]): void => {
    const job = byKey.get(key);
    if (job === undefined || state.get(key) === 'done') return;
    if (state.get(key) === 'open') {
      reader.errors.push({ ...job.place, message: `the jobs need each other in a circle: ${[...path.slice(path.indexOf(key)), key].join(' → ')}` });
      return;
    }
    state.set(key, 'open');
    for (const need of job.needs) {
      if (!byKey.has(need)) reader.errors.push({ ...job.place, message: `the job ${key} needs ${need}, which is no job of this workflow` });
      else visit(need, [...path, key]);
    }
    state.set(key, 'done');
  };
  for (const key of byKey.keys()) visit(key, []);
}
