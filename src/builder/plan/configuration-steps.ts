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
import { healthcheckText, plainList, quotedList } from './go-format.ts';
import { resolveDestination } from './paths.ts';
import { parsePortSpec } from './ports-spec.ts';
import { isSignal } from './signals.ts';
import { type ContainerConfig, type StageState, withVariable } from './stage-state.ts';
import type { StepPlanner } from './step-planner.ts';

const withConfig = (state: StageState, change: Partial<ContainerConfig>): StageState => ({ ...state, config: { ...state.config, ...change } });

/** ENV: names and values are expanded with the variables from before the instruction, so pairs of one line do not see each other. */
export const planNameValues: StepPlanner<NameValuesInstruction> = (instruction, state, { expander }) => {
  const pairs = instruction.pairs.map(({ name, value }) => [expander.word(name), expander.word(value)] as const);
  const shown = pairs.map(([name, value]) => (instruction.isLegacyForm ? `${name} ${value}` : `${name}=${value}`)).join(' ');
  const createdBy = `${instruction.kind} ${shown}`;
  if (instruction.kind === 'LABEL') return { state: withConfig(state, { Labels: { ...state.config.Labels, ...Object.fromEntries(pairs) } }), createdBy };
  let env: readonly string[] = state.config.Env ?? [];
  const variables = new Map(state.variables);
  for (const [name, value] of pairs) {
    env = withVariable(env, name, value);
    variables.set(name, value);
  }
  return { state: { ...withConfig(state, { Env: [...env] }), variables }, createdBy };
};

/** ARG: a given value wins over the default, and the default over an ARG of the same name before FROM. */
export const planArg: StepPlanner<ArgInstruction> = (instruction, state, { expander, buildArgs, globalArgs }) => {
  const variables = new Map(state.variables);
  const args = new Map(state.args);
  const shown: string[] = [];
  for (const { name, value } of instruction.args) {
    const given = Object.hasOwn(buildArgs, name.text) ? buildArgs[name.text] : undefined;
    const actual = given ?? (value === undefined ? globalArgs.get(name.text) : expander.word(value));
    if (actual !== undefined) variables.set(name.text, actual);
    args.set(name.text, actual ?? '');
    shown.push(actual === undefined ? name.text : `${name.text}=${actual}`);
  }
  return { state: { ...state, variables, args }, createdBy: `ARG ${shown.join(' ')}` };
};

/** WORKDIR: relative to the one before. The folder is made, owned by the current user. */
export const planWorkdir: StepPlanner<SingleValueInstruction> = (instruction, state, { expander }) => {
  const path = resolveDestination(state.config.WorkingDir ?? '/', expander.word(instruction.value)).replace(/(?<=.)\/$/, '');
  return {
    state: withConfig(state, { WorkingDir: path }),
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

export const planExpose: StepPlanner<ListInstruction> = (instruction, state, { expander }) => {
  const ports = instruction.values.flatMap((value) =>
    expander.words(value).flatMap((word) => {
      const parsed = parsePortSpec(word);
      return Array.isArray(parsed) ? parsed : expander.fail(value, parsed.message);
    }),
  );
  const sorted = ports.toSorted();
  const ExposedPorts = { ...state.config.ExposedPorts, ...Object.fromEntries(sorted.map((port) => [port, {}])) };
  return { state: withConfig(state, { ExposedPorts }), createdBy: `EXPOSE ${plainList(sorted)}` };
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
export const planCommand: StepPlanner<CommandInstruction> = (instruction, state) => {
  const args = withShell(instruction.command, state.config.Shell);
  const createdBy = `${instruction.kind} ${quotedList(args)}`;
  if (instruction.kind === 'CMD') return { state: { ...withConfig(state, { Cmd: args, ArgsEscaped: true }), isCommandSet: true }, createdBy };
  const { Cmd, ...config } = state.config;
  const kept = state.isCommandSet && Cmd !== undefined ? { Cmd } : {};
  return { state: { ...state, config: { ...config, ...kept, Entrypoint: args } }, createdBy };
};

export const planShell: StepPlanner<ShellInstruction> = (instruction, state) => ({
  state: withConfig(state, { Shell: [...instruction.shell] }),
  createdBy: `SHELL ${plainList(instruction.shell)}`,
});

export const planHealthcheck: StepPlanner<HealthcheckInstruction> = (instruction, state) => ({
  state: withConfig(state, { Healthcheck: instruction.healthcheck }),
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
