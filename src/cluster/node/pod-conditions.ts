import type { k8s } from '../../api/mod.ts';
import { toSeconds } from './container-status.ts';
import type { PodView } from './pod-view.ts';
import { isSidecar } from './restart-policy.ts';

interface Verdict { type: string; status: 'True' | 'False'; reason?: string; message?: string }

/** The conditions the node owns, then those that others set. A condition keeps its transition time while its status stays. */
export function planConditions(
  view: PodView,
  phase: string,
  inits: readonly k8s.ContainerStatus[],
  applications: readonly k8s.ContainerStatus[],
  isInitialized: boolean,
): k8s.PodCondition[] {
  const known = view.pod.status?.conditions ?? [];
  const containersReady = readiness(view, phase, inits, applications);
  const verdicts: Verdict[] = [
    { type: 'PodReadyToStartContainers', status: view.sandbox === undefined ? 'False' : 'True' },
    initialized(view, phase, inits, isInitialized),
    podReady(view, known, containersReady),
    { ...containersReady, type: 'ContainersReady' },
    { type: 'PodScheduled', status: 'True' },
    ...(view.ending?.isDisruption === true ? [{ type: 'DisruptionTarget', status: 'True' as const, reason: 'TerminationByKubelet', message: view.ending.message }] : []),
  ];
  const own = verdicts.map((verdict): k8s.PodCondition => {
    const before = known.find(({ type }) => type === verdict.type);
    const lastTransitionTime = before?.status === verdict.status ? before.lastTransitionTime : toSeconds(new Date(view.nowMs).toISOString());
    return { ...verdict, lastTransitionTime };
  });
  return [...own, ...known.filter(({ type }) => !verdicts.some((verdict) => verdict.type === type))];
}

function initialized(view: PodView, phase: string, inits: readonly k8s.ContainerStatus[], isInitialized: boolean): Verdict {
  if (phase === 'Succeeded') return { type: 'Initialized', status: 'True', reason: 'PodCompleted' };
  if (isInitialized) return { type: 'Initialized', status: 'True' };
  const sidecars = new Set((view.pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
  const incomplete = inits.filter(({ name, ready, started }) => (sidecars.has(name) ? started !== true : !ready)).map(({ name }) => name);
  return { type: 'Initialized', status: 'False', reason: 'ContainersNotInitialized', message: `containers with incomplete status: [${incomplete.join(' ')}]` };
}

function readiness(view: PodView, phase: string, inits: readonly k8s.ContainerStatus[], applications: readonly k8s.ContainerStatus[]): Verdict {
  const type = 'Ready';
  if (phase === 'Succeeded') return { type, status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { type, status: 'False', reason: 'PodFailed' };
  const sidecars = new Set((view.pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name));
  const unready = [...inits.filter(({ name }) => sidecars.has(name)), ...applications].filter(({ ready }) => !ready).map(({ name }) => name);
  if (unready.length === 0) return { type, status: 'True' };
  return { type, status: 'False', reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
}

function podReady(view: PodView, known: readonly k8s.PodCondition[], containersReady: Verdict): Verdict {
  if (containersReady.status === 'False') return containersReady;
  const closed = (view.pod.spec?.readinessGates ?? []).filter((gate) => known.find(({ type }) => type === gate.conditionType)?.status !== 'True');
  if (closed.length === 0) return containersReady;
  const message = closed.map(({ conditionType }) => `the status of pod readiness gate "${conditionType}" is not "True", but False`).join('; ');
  return { type: 'Ready', status: 'False', reason: 'ReadinessGatesNotReady', message };
}
