import type { Healthcheck } from '../../api/mod.ts';
import type { Heredoc } from './heredoc.ts';
import type { Position } from './located-text.ts';

/** A word of the file before variables are expanded in it. */
export interface Word {
  readonly text: string;
  readonly position: Position;
}

export interface NameValue {
  readonly name: Word;
  readonly value: Word;
}

/** `RUN`, `CMD` and `ENTRYPOINT`: a JSON list is executed as it is, anything else is given to the shell. */
export type CommandLine =
  | { readonly form: 'exec'; readonly args: readonly string[] }
  | { readonly form: 'shell'; readonly text: string };

export interface InstructionBase {
  readonly position: Position;
  readonly lastLine: number;
  /** The keyword as it is written. */
  readonly keyword: string;
  /** The comment lines just above, without `#`. */
  readonly comments: readonly string[];
  /** The line as it is shown to people: continued lines joined, no trailing white space. */
  readonly text: string;
}

export interface FromInstruction extends InstructionBase {
  readonly kind: 'FROM';
  readonly base: Word;
  /** Lower case. */
  readonly name?: string;
  /** `AS name` as it is written. */
  readonly alias?: { readonly as: Word; readonly name: Word };
  readonly platform?: Word;
}

export interface RunInstruction extends InstructionBase {
  readonly kind: 'RUN';
  readonly command: CommandLine;
  readonly heredocs: readonly Heredoc[];
  /** The values of `--mount`, parsed when variables are known (`parseRunMount`). */
  readonly mounts: readonly Word[];
  readonly network?: 'default' | 'none' | 'host';
  readonly networkFlag?: Word;
  /** Set by `--security=insecure`. */
  readonly insecureFlag?: Word;
}

export interface CopyInstruction extends InstructionBase {
  readonly kind: 'COPY' | 'ADD';
  readonly sources: readonly Word[];
  readonly inlineFiles: readonly Heredoc[];
  readonly destination: Word;
  readonly from?: Word;
  readonly chown?: Word;
  readonly chmod?: Word;
  readonly checksum?: Word;
  readonly excludes: readonly Word[];
  readonly isLink: boolean;
  /** `--parents`: the sources' folders are kept. */
  readonly keepsParents: boolean;
  /** `--unpack`; by default ADD unpacks local archives and COPY and remote files are left as they are. */
  readonly unpacks?: boolean;
  readonly keepsGitFolder?: boolean;
}

export interface NameValuesInstruction extends InstructionBase {
  readonly kind: 'ENV' | 'LABEL';
  readonly pairs: readonly NameValue[];
  /** The old form `ENV name value`. */
  readonly isLegacyForm: boolean;
}

export interface ArgInstruction extends InstructionBase {
  readonly kind: 'ARG';
  readonly args: readonly { readonly name: Word; readonly value?: Word }[];
}

export interface SingleValueInstruction extends InstructionBase {
  readonly kind: 'WORKDIR' | 'USER' | 'STOPSIGNAL' | 'MAINTAINER';
  readonly value: Word;
}

export interface ListInstruction extends InstructionBase {
  readonly kind: 'EXPOSE' | 'VOLUME';
  readonly values: readonly Word[];
}

export interface CommandInstruction extends InstructionBase {
  readonly kind: 'CMD' | 'ENTRYPOINT';
  readonly command: CommandLine;
}

export interface ShellInstruction extends InstructionBase {
  readonly kind: 'SHELL';
  readonly shell: readonly string[];
}

export interface HealthcheckInstruction extends InstructionBase {
  readonly kind: 'HEALTHCHECK';
  readonly healthcheck: Healthcheck;
}

export interface OnbuildInstruction extends InstructionBase {
  readonly kind: 'ONBUILD';
  /** The instruction that builds on this image begin with. */
  readonly expression: string;
}

export type Instruction =
  | FromInstruction
  | RunInstruction
  | CopyInstruction
  | NameValuesInstruction
  | ArgInstruction
  | SingleValueInstruction
  | ListInstruction
  | CommandInstruction
  | ShellInstruction
  | HealthcheckInstruction
  | OnbuildInstruction;

/** What stands inside a stage: everything but FROM. */
export type StageInstruction = Exclude<Instruction, FromInstruction>;
