/** A rule of the published list of build checks. */
export interface LintRule {
  readonly description: string;
  /** Reported only when `# check=experimental=` asks for it. */
  readonly isExperimental?: boolean;
}

/** The build checks of the Dockerfile reference ("Build checks"), by name. They are warnings; `# check=error=true` makes them errors. */
export const lintRules = {
  StageNameCasing: { description: 'Stage names are written in lower case' },
  FromAsCasing: { description: 'AS is written in the same case as FROM' },
  NoEmptyContinuation: { description: 'A continued instruction has no empty lines' },
  ConsistentInstructionCasing: { description: 'All instructions are written in the same case' },
  DuplicateStageName: { description: 'Every stage has a name of its own' },
  ReservedStageName: { description: 'Stages are not called context or scratch' },
  JSONArgsRecommended: { description: 'CMD and ENTRYPOINT are in JSON form, so that signals reach the program' },
  MaintainerDeprecated: { description: 'A label names the author instead of MAINTAINER' },
  UndefinedArgInFrom: { description: 'FROM uses declared ARGs only' },
  WorkdirRelativePath: { description: 'The first WORKDIR is absolute' },
  UndefinedVar: { description: 'Variables are defined before they are used' },
  MultipleInstructionsDisallowed: { description: 'CMD, ENTRYPOINT and HEALTHCHECK stand once in a stage' },
  LegacyKeyValueFormat: { description: 'ENV and LABEL are written as name=value' },
  RedundantTargetPlatform: { description: 'FROM --platform=$TARGETPLATFORM is what happens anyway' },
  SecretsUsedInArgOrEnv: { description: 'ARG and ENV hold no secrets' },
  InvalidDefaultArgInFrom: { description: 'Base images are valid when no build argument is given' },
  FromPlatformFlagConstDisallowed: { description: 'FROM --platform is no constant' },
  CopyIgnoredFile: { description: 'COPY and ADD take no file that .dockerignore leaves out' },
  InvalidDefinitionDescription: { description: 'The comment above a FROM or ARG begins with its name', isExperimental: true },
  ExposeProtoCasing: { description: 'Protocols of EXPOSE are written in lower case' },
  ExposeInvalidFormat: { description: 'EXPOSE has no address and no port of the host' },
  InvalidBaseImagePlatform: { description: 'Base images are for the platform that is built for' },
} as const satisfies Record<string, LintRule>;

export type LintRuleName = keyof typeof lintRules;

export function isLintRule(name: string): name is LintRuleName {
  return Object.hasOwn(lintRules, name);
}
