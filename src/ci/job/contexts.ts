import type { WorkflowRunSpec } from '../../api/mod.ts';
import type { Workflow } from '../workflow/model.ts';

/** What is known of a run before any of its jobs starts. */
export interface RunFacts {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly spec: WorkflowRunSpec;
  readonly commit: { readonly message: string; readonly author: string; readonly email: string; readonly timestamp: string };
  /** Base URL of git hosting and logs. */
  readonly serverUrl: string;
  /** Whether a push to a protected branch waits for the run. */
  readonly isProtected: boolean;
}

/** The `github` context, as far as there is an answer here; what is missing is empty, as with GitHub. */
export function githubContext({ namespace, name, spec, commit, serverUrl }: RunFacts, workflow: Workflow): Record<string, unknown> {
  const isTag = spec.ref.startsWith('refs/tags/');
  const zero = '0'.repeat(40);
  return {
    actor: spec.actor,
    triggering_actor: spec.actor,
    event_name: spec.event === 'manual' ? 'workflow_dispatch' : 'push',
    event: {
      ref: spec.ref,
      before: spec.before ?? zero,
      after: spec.commit,
      head_commit: { id: spec.commit, message: commit.message, timestamp: commit.timestamp, author: { name: commit.author, email: commit.email } },
      repository: { name: spec.repository, full_name: `${namespace}/${spec.repository}` },
      pusher: { name: spec.actor },
    },
    ref: spec.ref,
    ref_name: spec.ref.replace(/^refs\/(?:heads|tags)\//, ''),
    ref_type: isTag ? 'tag' : 'branch',
    repository: `${namespace}/${spec.repository}`,
    repository_owner: namespace,
    run_id: name,
    server_url: serverUrl,
    sha: spec.commit,
    workflow: workflow.name,
    token: '',
  };
}

/** The variables every step sees ("Default environment variables"). */
export function defaultVariables(github: Readonly<Record<string, unknown>>, job: { id: string; workspace: string; temporary: string }): Record<string, string> {
  const names = ['actor', 'event_name', 'ref', 'ref_name', 'ref_type', 'repository', 'repository_owner', 'run_id', 'server_url', 'sha', 'workflow'] as const;
  return {
    CI: 'true',
    GITHUB_ACTIONS: 'true',
    ...Object.fromEntries(names.map((name) => [`GITHUB_${name.toUpperCase()}`, plainText(github[name])])),
    GITHUB_JOB: job.id,
    GITHUB_WORKSPACE: job.workspace,
    RUNNER_OS: 'Linux',
    RUNNER_ARCH: process.arch === 'arm64' ? 'ARM64' : 'X64',
    RUNNER_TEMP: `${job.temporary}/runner`,
  };
}

function plainText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
