import { posix } from 'node:path';
import { heredocText, parseHeredocMark } from '../dockerfile/heredoc.ts';
import type { RunInstruction, Word } from '../dockerfile/instruction.ts';
import { parseRunMount } from '../dockerfile/run-mount.ts';
import type { PlannedMount, RunAction } from './build-plan.ts';
import { withShell } from './configuration-steps.ts';
import type { Entitlement } from './entitlements.ts';
import { resolveDestination } from './paths.ts';
import { defaultPath, type StageState } from './stage-state.ts';
import type { PlanningContext, StepPlanner } from './step-planner.ts';

/** RUN. Its environment is the image's, then the declared arguments; history lists the arguments before the command. */
export const planRun: StepPlanner<RunInstruction> = (instruction, state, context) => {
  const { args, script } = commandOf(instruction, state);
  const { networkFlag, insecureFlag } = instruction;
  if (networkFlag !== undefined && instruction.network === 'host' && context.network !== 'host') demand('network.host', networkFlag, context);
  if (insecureFlag !== undefined) demand('security.insecure', insecureFlag, context);
  const env = [...state.variables].map(([name, value]) => `${name}=${value}`);
  if (!state.variables.has('PATH')) env.push(`PATH=${defaultPath}`);
  const action: RunAction = {
    kind: 'run',
    args,
    env,
    workingDir: state.config.WorkingDir === undefined || state.config.WorkingDir === '' ? '/' : state.config.WorkingDir,
    user: state.config.User ?? '',
    network: instruction.network ?? context.network,
    mounts: instruction.mounts.map((mount) => planMount(mount, state, context)),
    isInsecure: insecureFlag !== undefined,
    ...(script === undefined ? {} : { script }),
  };
  const known = [...state.args.keys()].map((name) => `${name}=${state.variables.get(name) ?? ''}`);
  const prefix = known.length === 0 ? '' : `|${known.length} ${known.join(' ')} `;
  return { state, createdBy: `RUN ${prefix}${args.join(' ')} # buildkit`, action };
};

function demand(entitlement: Entitlement, flag: Word, { allowed, expander }: PlanningContext): void {
  if (!allowed.has(entitlement)) expander.fail(flag, `${flag.text.includes('host') ? 'the network of the machine' : 'running without confinement'} is not allowed for this build; whoever starts it can allow ${entitlement}`, 'unsupported');
}

/** A command that is only a here-document is its text for the shell, or, with a `#!` line, a script; else the shell reads the here-documents. */
function commandOf({ command, heredocs }: RunInstruction, state: StageState): { args: string[]; script?: RunAction['script'] } {
  const [first] = heredocs;
  if (first === undefined || command.form === 'exec') return { args: withShell(command, state.config.Shell) };
  if (parseHeredocMark(command.text) !== undefined) {
    const text = heredocText(first);
    if (!text.startsWith('#!')) return { args: withShell({ form: 'shell', text }, state.config.Shell) };
    const path = `/dev/pipes/${first.name}`;
    return { args: [path], script: { path, content: text } };
  }
  const text = [command.text, ...heredocs.map(({ content, name }) => `\n${content}${name}`)].join('');
  return { args: withShell({ form: 'shell', text }, state.config.Shell) };
}

function planMount(word: RunInstruction['mounts'][number], state: StageState, context: PlanningContext): PlannedMount {
  const { expander } = context;
  const mount = parseRunMount(word.text, (value) => expander.word({ text: value, position: word.position }), (message) => expander.fail(word, message));
  const id = mount.id ?? mount.source;
  const defaultTarget = mount.type === 'secret' && mount.env === undefined ? `/run/secrets/${posix.basename(id ?? '')}` : mount.type === 'ssh' ? '/run/buildkit/ssh_agent.0' : '';
  const target = mount.target ?? defaultTarget;
  // A bind, cache or tmpfs mount without a target covers the working directory.
  const isOptional = mount.type === 'secret' && target === '';
  const resolved = isOptional ? '' : resolveDestination(state.config.WorkingDir ?? '/', target).replace(/(?<=.)\/$/, '');
  if (resolved === '/') expander.fail(word, 'a mount cannot cover the root folder');
  const from = mount.from ?? (mount.type === 'bind' ? 'context' : undefined);
  if (from === undefined) return { ...mount, target: resolved };
  const files = mount.from === undefined ? ({ kind: 'context' } as const) : context.sources.get(mount.from);
  if (files === undefined) return expander.fail(word, `unknown stage or image ${JSON.stringify(mount.from)}`);
  return { ...mount, target: resolved, files };
}
