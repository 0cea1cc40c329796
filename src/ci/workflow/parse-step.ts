import type { TemplateToken } from '@actions/workflow-parser/templates/tokens/template-token';
import { type BuildPushInput, buildPushInputs, type Step, type Template, type TemplateMap } from './model.ts';
import { environmentNamePattern, type TokenReader } from './token-reader.ts';

const idPattern = /^[A-Za-z_][A-Za-z0-9_-]{0,99}$/;
export function parseSteps(reader: TokenReader, token: TemplateToken): Step[] {
  const ids = new Set<string>();
  return reader.items(token).flatMap((item) => {
    const step = parseStep(reader, item);
    if (step?.id !== undefined && ids.has(step.id)) reader.fail(item, `the step id ${step.id} is used twice in this job`);
    if (step?.id !== undefined) ids.add(step.id);
    return step === undefined ? [] : [step];
  });
}

function parseStep(reader: TokenReader, token: TemplateToken): Step | undefined {
  let id: string | undefined;
  let name: Template | undefined;
  let condition: Template | undefined;
  let env: TemplateMap = [];
  let timeoutMinutes: Template | undefined;
  let continueOnError: Template | undefined;
  let run: Template | undefined;
  let shell: Template | undefined;
  let workingDirectory: Template | undefined;
  let uses: { text: string; token: TemplateToken } | undefined;
  let inputs: TemplateToken | undefined;
  reader.mapping(token, 'a step', {
    id: (value) => {
      id = reader.literal(value, 'id');
      if (!idPattern.test(id)) reader.fail(value, `${JSON.stringify(id)} is not a valid step id`);
    },
    name: (value) => { name = reader.template(value, 'name'); },
    if: (value) => { condition = reader.condition(value); },
    env: (value) => { env = reader.templateMap(value, 'env', environmentNamePattern); },
    'timeout-minutes': (value) => { timeoutMinutes = reader.template(value, 'timeout-minutes'); },
    'continue-on-error': (value) => { continueOnError = reader.template(value, 'continue-on-error'); },
    run: (value) => { run = reader.template(value, 'run'); },
    shell: (value) => { shell = reader.template(value, 'shell'); },
    'working-directory': (value) => { workingDirectory = reader.template(value, 'working-directory'); },
    uses: (value) => { uses = { text: reader.literal(value, 'uses'), token: value }; },
    with: (value) => { inputs = value; },
  });
  const base = { id, name, condition, env, timeoutMinutes, continueOnError, place: reader.placeOf(token) };
  if (run !== undefined) return { ...base, kind: 'run', run, shell, workingDirectory };
  return uses === undefined ? undefined : parseAction(reader, uses, inputs, base);
}

type StepBase = Omit<Extract<Step, { kind: 'checkout' }>, 'kind' | 'path'>;

/** The actions that are built in. Others would be code from elsewhere, which is not run. */
function parseAction(reader: TokenReader, uses: { text: string; token: TemplateToken }, inputs: TemplateToken | undefined, base: StepBase): Step | undefined {
  const action = uses.text.split('@')[0];
  if (action === 'actions/checkout') {
    let path: Template | undefined;
    if (inputs !== undefined) {
      reader.mapping(inputs, 'actions/checkout', {
        path: (value) => { path = reader.template(value, 'path'); },
        'fetch-depth': (value) => {
          if (reader.literal(value, 'fetch-depth') !== '1') reader.fail(value, 'only fetch-depth: 1 is supported: the files of the commit are checked out, without history');
        },
        'persist-credentials': (value) => {
          if (reader.literal(value, 'persist-credentials') !== 'false') reader.fail(value, 'only persist-credentials: false is supported: jobs get no credentials');
        },
      }, { ref: 'the commit that was pushed is checked out', repository: 'the repository that was pushed is checked out' });
    }
    return { ...base, kind: 'checkout', path };
  }
  if (action === 'docker/build-push-action') {
    const values: Partial<Record<BuildPushInput, Template>> = {};
    const handlers = Object.fromEntries(buildPushInputs.map((name) => [name, (value: TemplateToken) => { values[name] = reader.template(value, name); }]));
    if (inputs !== undefined) reader.mapping(inputs, 'docker/build-push-action', handlers);
    return { ...base, kind: 'build-push', inputs: values };
  }
  reader.fail(uses.token, `the action ${uses.text} is not supported; built in are actions/checkout and docker/build-push-action`);
  return undefined;
}
