import type {
  ArgInstruction,
  CommandInstruction,
  CommandLine,
  HealthcheckInstruction,
  ListInstruction,
  NameValuesInstruction,
  OnbuildInstruction,
  ShellInstruction,
  SingleValueInstruction,
} from '../dockerfile/instruction.ts';
import { isSecretName } from '../lint/secret-names.ts';
import { healthcheckText, plainList, quotedList } from './go-format.ts';
import { resolveDestination } from './paths.ts';
import { parsePortSpec } from './ports-spec.ts';
import { isSignal } from './signals.ts';
import { type ContainerConfig, type StageState, withVariable } from './stage-state.ts';
import type { PlanningContext, StepPlanner } from './step-planner.ts';

const withConfig = (state: StageState, change: Partial<ContainerConfig>): StageState => ({ ...state, config: { ...state.config, ...change } });

/** ENV: names and values are expanded with the variables from before the instruction, so pairs of one line do not see each other. */
export const planNameValues: StepPlanner<NameValuesInstruction> = (instruction, state, { expander, lint }) => {
  const { keyword } = instruction;
  if (instruction.isLegacyForm) lint('LegacyKeyValueFormat', instruction.position, `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`);
  const pairs = instruction.pairs.map(({ name, value }) => [expander.word(name), expander.word(value)] as const);
  const shown = pairs.map(([name, value]) => (instruction.isLegacyForm ? `${name} ${value}` : `${name}=${value}`)).join(' ');
  const createdBy = `${instruction.kind} ${shown}`;
  if (instruction.kind === 'LABEL') return { state: withConfig(state, { Labels: { ...state.config.Labels, ...Object.fromEntries(pairs) } }), createdBy };
  let env: readonly string[] = state.config.Env ?? [];
  const variables = new Map(state.variables);
  for (const [index, [name, value]] of pairs.entries()) {
    if (isSecretName(name)) lint('SecretsUsedInArgOrEnv', instruction.pairs[index]?.name.position ?? instruction.position, `Do not use ARG or ENV instructions for sensitive data (ENV ${JSON.stringify(name)})`);
    env = withVariable(env, name, value);
    variables.set(name, value);
  }
  return { state: { ...withConfig(state, { Env: [...env] }), variables }, createdBy };
};

/** Arguments that steer the build and are no variables of commands. */
const argsWithoutVariable = ['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE'];

/** ARG: a given value wins over the default, and the default over an ARG of the same name before FROM. */
export const planArg: StepPlanner<ArgInstruction> = (instruction, state, { expander, buildArgs, globalArgs, lint }) => {
  const variables = new Map(state.variables);
  const args = new Map(state.args);
  const shown: string[] = [];
  for (const { name, value } of instruction.args) {
    const given = Object.hasOwn(buildArgs, name.text) ? buildArgs[name.text] : undefined;
    const actual = given ?? (value === undefined ? globalArgs.get(name.text) : expander.word(value));
    if (isSecretName(name.text)) lint('SecretsUsedInArgOrEnv', name.position, `Do not use ARG or ENV instructions for sensitive data (ARG ${JSON.stringify(name.text)})`);
    if (actual !== undefined && !argsWithoutVariable.includes(name.text)) variables.set(name.text, actual);
    args.set(name.text, actual ?? '');
    shown.push(actual === undefined ? name.text : `${name.text}=${actual}`);
  }
  return { state: { ...state, variables, args }, createdBy: `ARG ${shown.join(' ')}` };
};

/** WORKDIR: relative to the one before. The folder is made, owned by the current user. */
export const planWorkdir: StepPlanner<SingleValueInstruction> = (instruction, state, { expander, lint }) => {
  const word = expander.word(instruction.value);
  if (!state.isWorkdirSet && !word.startsWith('/')) lint('WorkdirRelativePath', instruction.value.position, `Relative workdir ${JSON.stringify(word)} can have unexpected results if the base image changes`);
  const path = resolveDestination(state.config.WorkingDir ?? '/', word).replace(/(?<=.)\/$/, '');
  return {
    state: { ...withConfig(state, { WorkingDir: path }), isWorkdirSet: true },
    createdBy: `WORKDIR ${path}`,
    ...(path === '/' ? {} : { action: { kind: 'folder', path, user: state.config.User ?? '' } as const }),
  };
};

export const planUser: StepPlanner<SingleValueInstruction> = (instruction, state, { expander }) => {
  const user = expander.word(instruction.value);
  if (user === '') expander.fail(instruction.value, 'USER cannot be empty');
  return { state: withConfig(state, { User: user }), createdBy: `USER ${user}` };
};

export const planStopSignal: StepPlanner<SingleValueInstruction> = (instruction, state, { expander }) => {
  const signal = expander.word(instruction.value);
  if (!isSignal(signal)) expander.fail(instruction.value, `${JSON.stringify(signal)} is no signal`);
  return { state: withConfig(state, { StopSignal: signal }), createdBy: `STOPSIGNAL ${signal}` };
};

export const planMaintainer: StepPlanner<SingleValueInstruction> = (instruction, state) => ({
  state: { ...state, author: instruction.value.text },
  createdBy: `MAINTAINER ${instruction.value.text}`,
});

export const planExpose: StepPlanner<ListInstruction> = (instruction, state, { expander, lint }) => {
  // The words are sorted before they are expanded, and ranges are written out after that.
  const words = instruction.values.toSorted((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  const ports = words.flatMap((value) =>
    expander.words(value).flatMap((word) => {
      const parsed = parsePortSpec(word);
      if ('message' in parsed) return expander.fail(value, parsed.message);
      if (parsed.protocol !== parsed.protocol.toLowerCase()) lint('ExposeProtoCasing', value.position, `Defined protocol '${word}' in EXPOSE instruction should be lowercase`);
      if (parsed.isMapping) lint('ExposeInvalidFormat', value.position, `EXPOSE instruction should not define an IP address or host-port mapping, found '${word}'`);
      return parsed.ports;
    }),
  );
  const ExposedPorts = { ...state.config.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
  return { state: withConfig(state, { ExposedPorts }), createdBy: `EXPOSE ${plainList(ports)}` };
};

export const planVolume: StepPlanner<ListInstruction> = (instruction, state, { expander }) => {
  const volumes = instruction.values.map((value) => {
    const path = expander.word(value);
    return path === '' ? expander.fail(value, 'VOLUME paths cannot be empty') : path;
  });
  const Volumes = { ...state.config.Volumes, ...Object.fromEntries(volumes.map((path) => [path, {}])) };
  return { state: withConfig(state, { Volumes }), createdBy: `VOLUME ${plainList(volumes)}` };
};

/** ENTRYPOINT resets a CMD that came from the base, because it was written for another program. */
export const planCommand: StepPlanner<CommandInstruction> = (instruction, before, context) => {
  const { command, kind } = instruction;
  if (command.form === 'shell' && (before.config.Shell ?? []).length === 0) {
    context.lint('JSONArgsRecommended', instruction.position, `JSON arguments recommended for ${instruction.keyword} to prevent unintended behavior related to OS signals`);
  }
  const state = once(instruction, before, context);
  const args = withShell(command, state.config.Shell);
  const createdBy = `${kind} ${quotedList(args)}`;
  if (kind === 'CMD') return { state: withConfig(state, { Cmd: args, ArgsEscaped: true }), createdBy };
  const { Cmd, ...config } = state.config;
  const kept = state.seen.has('CMD') && Cmd !== undefined ? { Cmd } : {};
  return { state: { ...state, config: { ...config, ...kept, Entrypoint: args } }, createdBy };
};

/** Notes the instruction; the one before it of the same kind has no effect, and is what is reported. */
function once(instruction: CommandInstruction | HealthcheckInstruction, state: StageState, { lint, source }: PlanningContext): StageState {
  const before = state.seen.get(instruction.kind);
  if (before?.source === source) lint('MultipleInstructionsDisallowed', before.position, `Multiple ${instruction.keyword} instructions should not be used in the same stage because only the last one will be used`);
  return { ...state, seen: new Map([...state.seen, [instruction.kind, { position: instruction.position, source }]]) };
}

export const planShell: StepPlanner<ShellInstruction> = (instruction, state) => ({
  state: withConfig(state, { Shell: [...instruction.shell] }),
  createdBy: `SHELL ${plainList(instruction.shell)}`,
});

export const planHealthcheck: StepPlanner<HealthcheckInstruction> = (instruction, state, context) => ({
  state: withConfig(once(instruction, state, context), { Healthcheck: instruction.healthcheck }),
  createdBy: `HEALTHCHECK ${healthcheckText(instruction.healthcheck)}`,
});

export const planOnbuild: StepPlanner<OnbuildInstruction> = (instruction, state) => ({
  state: withConfig(state, { OnBuild: [...(state.config.OnBuild ?? []), instruction.expression] }),
  createdBy: `ONBUILD ${instruction.expression}`,
  isHidden: true,
});

/** The argument list of a command line: text goes to the stage's shell. */
export function withShell(command: CommandLine, shell: readonly string[] | undefined): string[] {
  if (command.form === 'exec') return [...command.args];
  return [...(shell === undefined || shell.length === 0 ? ['/bin/sh', '-c'] : shell), command.text];
}
