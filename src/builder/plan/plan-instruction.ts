import type { StageInstruction } from '../dockerfile/instruction.ts';
import {
  planArg,
  planCommand,
  planExpose,
  planHealthcheck,
  planMaintainer,
  planNameValues,
  planOnbuild,
  planShell,
  planStopSignal,
  planUser,
  planVolume,
  planWorkdir,
} from './configuration-steps.ts';
import { planCopy } from './copy-step.ts';
import { planRun } from './run-step.ts';
import type { StageState } from './stage-state.ts';
import type { PlannedInstruction, PlanningContext } from './step-planner.ts';

/** The planner of each instruction. A new instruction is a case here. */
export function planInstruction(instruction: StageInstruction, state: StageState, context: PlanningContext): PlannedInstruction {
  switch (instruction.kind) {
    case 'ENV':
    case 'LABEL':
      return planNameValues(instruction, state, context);
    case 'ARG':
      return planArg(instruction, state, context);
    case 'WORKDIR':
      return planWorkdir(instruction, state, context);
    case 'USER':
      return planUser(instruction, state, context);
    case 'STOPSIGNAL':
      return planStopSignal(instruction, state, context);
    case 'MAINTAINER':
      return planMaintainer(instruction, state, context);
    case 'EXPOSE':
      return planExpose(instruction, state, context);
    case 'VOLUME':
      return planVolume(instruction, state, context);
    case 'CMD':
    case 'ENTRYPOINT':
      return planCommand(instruction, state, context);
    case 'SHELL':
      return planShell(instruction, state, context);
    case 'HEALTHCHECK':
      return planHealthcheck(instruction, state, context);
    case 'ONBUILD':
      return planOnbuild(instruction, state, context);
    case 'COPY':
    case 'ADD':
      return planCopy(instruction, state, context);
    case 'RUN':
      return planRun(instruction, state, context);
  }
}
