import type { StageInstruction } from '../dockerfile/instruction.ts';
import type { SourceFile } from '../dockerfile/source-file.ts';
import type { IgnoreRules } from '../../context/mod.ts';
import type { ReportLint } from '../lint/linter.ts';
import type { FileAction, FileSource } from './build-plan.ts';
import type { Entitlement } from './entitlements.ts';
import type { Expander } from './expander.ts';
import type { StageState } from './stage-state.ts';

/** What an instruction does: the state after it, its history line, and what it changes in the file tree. */
export interface PlannedInstruction {
  readonly state: StageState;
  readonly createdBy: string;
  readonly action?: FileAction;
  readonly isHidden?: boolean;
}

/** What planning needs besides the state. */
export interface PlanningContext {
  readonly source: SourceFile;
  readonly expander: Expander;
  /** Values given for build arguments. */
  readonly buildArgs: Readonly<Record<string, string>>;
  /** ARGs before the first FROM, and the platform's. */
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly network: 'default' | 'none' | 'host';
  /** Where `--from=name` leads, found before planning. */
  readonly sources: ReadonlyMap<string, FileSource>;
  readonly allowed: ReadonlySet<Entitlement>;
  readonly lint: ReportLint;
  /** What COPY does not see of the build context. */
  readonly ignore: IgnoreRules;
}

/** Plans one kind of instruction. Pure. */
export type StepPlanner<I extends StageInstruction> = (instruction: I, state: StageState, context: PlanningContext) => PlannedInstruction;
