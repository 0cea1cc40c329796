import type { CustomResourceColumnDefinition, CustomResourceDefinition, JSONSchemaProps } from '../kubernetes/types.gen.ts';
import { schema } from './schema.ts';

const { count, flag, list, map, object, oneOf, text, time } = schema;

const name = { pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 };
const commit = text('Commit id, 40 hex digits.', { pattern: '^[0-9a-f]{40}$' });
const ref = text('Full ref name, for example refs/heads/main.', { pattern: '^refs/', maxLength: 255 });
const images = list(
  'Images by digest.',
  object('One image.', { name: text('Repository name, without registry and tag.'), digest: text('Manifest digest.'), reference: text('Full reference by digest.') }, ['name', 'digest', 'reference']),
);
const conditions = list(
  'Conditions of the object.',
  object(
    'One condition (Kubernetes API conventions).',
    {
      type: text('Type of condition.'),
      status: oneOf('Status of the condition.', ['True', 'False', 'Unknown']),
      reason: text('Machine-readable reason.'),
      message: text('For people.'),
      lastTransitionTime: time('When the status last changed.'),
      observedGeneration: count('Generation the condition is about.'),
    },
    ['type', 'status'],
  ),
);
const jobPhases = ['Waiting', 'Running', 'Succeeded', 'Failed', 'Cancelled', 'Skipped'];
const levels = ['unit', 'integration', 'e2e'];

const tests = list(
  'Counted tests by level.',
  object('One level.', { level: oneOf('Level.', levels), passed: count('Passed.'), failed: count('Failed.'), skipped: count('Skipped.') }, ['level', 'passed', 'failed', 'skipped']),
);
const failedTests = list(
  'The tests that failed.',
  object('One test.', { level: oneOf('Level.', levels), name: text('Full name.'), message: text('First lines of the failure.'), file: text('Where.') }, ['level', 'name']),
);

const repository: Kind = {
  kind: 'Repository',
  plural: 'repositories',
  shortNames: ['repo'],
  description: 'A hosted git repository whose application is delivered to this namespace.',
  spec: object('What is wanted.', {
    defaultBranch: text('Branch that HEAD names. Default main.', { default: 'main', maxLength: 200 }),
    protectedBranches: list('Glob patterns of branches that move only when their pipeline is green. Default: the default branch.', text('Pattern.')),
  }),
  status: object('What is.', {
    conditions,
    branches: list('Where the branches are.', object('One branch.', { name: text('Branch name.'), commit }, ['name', 'commit'])),
    badCommits: list(
      'Commits that delivery took back, with the reason.',
      object('One commit.', { commit, reason: text('Why.'), release: text('The release that failed.'), time: time('When.') }, ['commit', 'reason']),
    ),
  }),
  columns: [
    { name: 'Branch', type: 'string', jsonPath: '.spec.defaultBranch' },
    { name: 'Commit', type: 'string', jsonPath: '.status.branches[0].commit' },
  ],
};

const workflowRun: Kind = {
  kind: 'WorkflowRun',
  plural: 'workflowruns',
  shortNames: ['run'],
  description: 'One execution of one workflow, or of the default pipeline, for one commit.',
  spec: object(
    'What to run.',
    {
      repository: text('Repository of the same namespace.', name),
      commit,
      ref,
      before: commit,
      event: oneOf('What started the run.', ['push', 'manual']),
      actor: text('Who started it.'),
      workflowPath: text('Workflow file in the commit; absent for the default pipeline.'),
      cancelRequested: flag('Asks for a stop.'),
    },
    ['repository', 'commit', 'ref', 'event', 'actor'],
  ),
  status: object('How far it is.', {
    phase: oneOf('State of the run.', ['Queued', 'Running', 'Succeeded', 'Failed', 'Cancelled', 'Error']),
    startedAt: time('When the first job could start.'),
    finishedAt: time('When the last job ended.'),
    message: text('One sentence a person can act on.'),
    jobs: list(
      'Jobs in the order of the file.',
      object(
        'One job.',
        {
          id: text('Key of the job in the workflow.'),
          name: text('Display name.'),
          phase: oneOf('State of the job.', jobPhases),
          pod: text('Pod that runs it.'),
          startedAt: time('Start.'),
          finishedAt: time('End.'),
          message: text('Why it ended as it did.'),
          outputs: map('Outputs of the job.'),
          steps: list(
            'Steps in order.',
            object(
              'One step.',
              { name: text('Display name.'), phase: oneOf('State of the step.', jobPhases), exitCode: { type: 'integer', format: 'int32' }, startedAt: time('Start.'), finishedAt: time('End.') },
              ['name', 'phase'],
            ),
          ),
          attempt: count('Counts from 1; more when a stop of the server made the job start over.'),
          tests,
          failedTests,
          images,
        },
        ['id', 'name', 'phase'],
      ),
    ),
    tests,
    failedTests,
    images,
  }),
  columns: [
    { name: 'Repository', type: 'string', jsonPath: '.spec.repository' },
    { name: 'Commit', type: 'string', jsonPath: '.spec.commit' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
    { name: 'Message', type: 'string', jsonPath: '.status.message' },
  ],
};

const imageBuild: Kind = {
  kind: 'ImageBuild',
  plural: 'imagebuilds',
  shortNames: ['build'],
  description: 'One image build, done by one node.',
  spec: object(
    'What to build.',
    {
      nodeName: text('Node that builds; set by the node that takes the build.'),
      source: object('The build context.', { repository: text('Repository of the same namespace.', name), commit }, ['repository', 'commit']),
      contextPath: text('Folder of the context inside the repository. Default: the root.'),
      dockerfile: text('Path of the Dockerfile inside the context. Default Dockerfile.'),
      target: text('Stage to build.'),
      buildArgs: map('Build arguments.'),
      labels: map('Labels of the image.'),
      tags: list('References the result gets.', text('Reference.')),
      noCache: flag('Whether every step runs.'),
      noCacheStages: list('Stages whose steps all run.', text('Name of a stage.')),
      pull: flag('Whether base images are asked for at their registry even when they are local.'),
      platform: text("os/architecture of the image; only the node's own."),
      cacheFrom: list('Images of registries that carry results of steps.', text('Reference.')),
      cacheTo: list('Where results of steps are pushed; not by builds with an untrusted scope.', object('One image.', { reference: text('Reference.'), mode: oneOf("Results of the target's stage, or of all.", ['min', 'max']) }, ['reference', 'mode'])),
      inlineCache: flag('Whether the image carries the results of its steps.'),
      contexts: map('Further contexts by name: docker-image://NAME, or the URL of a git repository.'),
      format: object(
        'How layers are stored and described. Default: gzip with OCI media types.',
        {
          compression: oneOf('Compression of layers.', ['gzip', 'zstd', 'uncompressed']),
          level: count('Compression level: 0 to 9 of gzip, 0 to 22 of zstd.'),
          force: flag('Whether layers that are compressed in another way are compressed anew.'),
          mediaTypes: oneOf('Family of media types.', ['oci', 'docker']),
        },
        ['compression'],
      ),
      push: flag('Whether the tags are pushed to their registry.'),
      untrustedScope: text('Trust scope of a build that nobody vouches for: what it leaves in the build cache is seen by builds of the same scope only.'),
    },
    ['source', 'tags', 'push'],
  ),
  status: object('How far it is.', {
    phase: oneOf('State of the build.', ['Pending', 'Running', 'Succeeded', 'Failed']),
    message: text('Why it failed.'),
    startedAt: time('Start.'),
    finishedAt: time('End.'),
    imageId: text('Digest of the image configuration.'),
    digest: text('Manifest digest, when pushed.'),
  }),
  columns: [
    { name: 'Node', type: 'string', jsonPath: '.spec.nodeName' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
    { name: 'Image', type: 'string', jsonPath: '.status.imageId', priority: 1 },
  ],
};

const release: Kind = {
  kind: 'Release',
  plural: 'releases',
  shortNames: ['rel'],
  description: 'Image digests and the manifests that go with them: what is promoted and what a rollback returns to.',
  spec: object(
    'What is released. Never changed after creation.',
    {
      repository: text('Repository of the same namespace.', name),
      commit,
      ref,
      number: count('Counts from 1 for each repository.'),
      run: text('WorkflowRun that tested it.'),
      images,
      manifests: list('Objects of deploy/, images pinned, in the order they are applied.', { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }),
      rollbackOf: text('The release this one takes back.'),
    },
    ['repository', 'commit', 'ref', 'number', 'images', 'manifests'],
  ),
  status: object('How far it is.', {
    phase: oneOf('State of the release.', ['Pending', 'Deploying', 'Live', 'Superseded', 'RolledBack', 'Failed']),
    reason: text('Machine-readable reason.'),
    message: text('For people.'),
    startedAt: time('Start.'),
    finishedAt: time('End.'),
    urls: list('Addresses at which the application answers.', text('URL.')),
    conditions,
  }),
  columns: [
    { name: 'Number', type: 'integer', jsonPath: '.spec.number' },
    { name: 'Repository', type: 'string', jsonPath: '.spec.repository' },
    { name: 'Commit', type: 'string', jsonPath: '.spec.commit' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
    { name: 'Reason', type: 'string', jsonPath: '.status.reason' },
  ],
};

const globs = (description: string): JSONSchemaProps => ({ ...list(description, text('Glob pattern: * within a part, ** across parts.', { minLength: 1, maxLength: 255 })), minItems: 1 });
const verbs = { ...list('What is allowed.', oneOf('Action.', ['pull', 'push', 'delete'])), minItems: 1 };

const registryToken: Kind = {
  kind: 'RegistryToken',
  plural: 'registrytokens',
  shortNames: ['rtoken'],
  scope: 'Cluster',
  description: 'A robot of the registry. Its name is the user name; only a hash of its secret is kept.',
  spec: object(
    'What it may do.',
    {
      secretHash: text('sha256: and the hex digest of the secret.', { pattern: '^sha256:[0-9a-f]{64}$' }),
      repositories: globs('Repositories.'),
      verbs,
      expiresAt: time('When it ends. Absent: when it is revoked.'),
      description: text('For people.', { maxLength: 1000 }),
    },
    ['secretHash', 'repositories', 'verbs'],
  ),
  columns: [
    { name: 'Repositories', type: 'string', jsonPath: '.spec.repositories' },
    { name: 'Verbs', type: 'string', jsonPath: '.spec.verbs' },
    { name: 'Expires', type: 'string', jsonPath: '.spec.expiresAt' },
  ],
};

const registryPolicy: Kind = {
  kind: 'RegistryPolicy',
  plural: 'registrypolicies',
  shortNames: ['rpolicy'],
  scope: 'Cluster',
  description: 'Rules for repositories of the registry: who may use them, which tags never move, what is kept.',
  spec: object(
    'The rules.',
    {
      repositories: globs('Repositories.'),
      anonymousPull: flag('Whether anybody may pull, without credentials.'),
      grants: list('What users of the token file may do.', object('One grant.', { users: list('User names.', text('User.')), groups: list('Groups.', text('Group.')), verbs }, ['verbs'])),
      immutableTags: globs('Tags that neither move nor go once they are set.'),
      retention: object('Which tags stay. Absent: all.', {
        keepTags: { ...count('How many of the newest tags stay.'), minimum: 1 },
        maxTagAgeDays: { ...count('Tags that were set longer ago go.'), minimum: 1 },
        keep: globs('Tags that always stay and are not counted.'),
      }),
    },
    ['repositories'],
  ),
  columns: [
    { name: 'Repositories', type: 'string', jsonPath: '.spec.repositories' },
    { name: 'Immutable', type: 'string', jsonPath: '.spec.immutableTags' },
    { name: 'Keep', type: 'integer', jsonPath: '.spec.retention.keepTags' },
  ],
};

const registryUpstream: Kind = {
  kind: 'RegistryUpstream',
  plural: 'registryupstreams',
  shortNames: ['rupstream'],
  scope: 'Cluster',
  description: 'Another registry whose images are served from this one and kept.',
  spec: object(
    'Where it is.',
    {
      prefix: text('First part of the repositories here.', { pattern: '^[a-z0-9]+([._-]+[a-z0-9]+)*$', maxLength: 100 }),
      host: text('Host and port of the registry.', { pattern: '^[A-Za-z0-9.-]+(:[0-9]{1,5})?$' }),
      freshSeconds: count('How long a tag is served without asking again. Default 60.'),
      credentials: object('A Secret with username and password.', { namespace: text('Namespace.'), name: text('Name.') }, ['namespace', 'name']),
    },
    ['prefix', 'host'],
  ),
  columns: [
    { name: 'Prefix', type: 'string', jsonPath: '.spec.prefix' },
    { name: 'Host', type: 'string', jsonPath: '.spec.host' },
  ],
};

/** The definitions of gantry.dev/v1, applied by the server at start to whatever cluster it works with. */
export const gantryDefinitions: readonly CustomResourceDefinition[] = [repository, workflowRun, imageBuild, release, registryToken, registryPolicy, registryUpstream].map(definitionOf);

interface Kind {
  kind: string;
  plural: string;
  shortNames: string[];
  description: string;
  /** Default Namespaced. */
  scope?: 'Cluster';
  spec: JSONSchemaProps;
  /** Absent for kinds that have no state of their own. */
  status?: JSONSchemaProps;
  columns: CustomResourceColumnDefinition[];
}

function definitionOf(kind: Kind): CustomResourceDefinition {
  const singular = kind.kind.toLowerCase();
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.gantry.dev` },
    spec: {
      group: 'gantry.dev',
      scope: kind.scope ?? 'Namespaced',
      names: { kind: kind.kind, listKind: `${kind.kind}List`, plural: kind.plural, singular, shortNames: kind.shortNames, categories: ['gantry'] },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', description: kind.description, properties: { spec: kind.spec, ...(kind.status === undefined ? {} : { status: kind.status }) }, required: ['spec'] } },
          ...(kind.status === undefined ? {} : { subresources: { status: {} } }),
          additionalPrinterColumns: [...kind.columns, { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
        },
      ],
    },
  };
}
