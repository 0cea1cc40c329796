import { GantryError } from '../../kernel/mod.ts';
import type { Dockerfile, Stage } from '../dockerfile/parse.ts';
import type { StageInstruction, Word } from '../dockerfile/instruction.ts';
import { parseRunMount } from '../dockerfile/run-mount.ts';

/** The earlier stage that a name or number refers to; undefined: it is an image. A later stage is an error of the caller's. */
export function findStage(dockerfile: Dockerfile, name: string, before: number): Stage | 'later' | undefined {
  const lower = name.toLowerCase();
  const matches = (stage: Stage): boolean => stage.from.name === lower || (/^\d+$/.test(name) && stage.index === Number(name));
  return dockerfile.stages.slice(0, before).findLast(matches) ?? (dockerfile.stages.slice(before).some(matches) ? 'later' : undefined);
}

/** The stage to build: by name or number, or the last. Undefined when there is none of that name. */
export function findTarget(dockerfile: Dockerfile, target: string | undefined): Stage | undefined {
  if (target === undefined || target === '') return dockerfile.stages.at(-1);
  return dockerfile.stages.find(({ from }) => from.name === target.toLowerCase()) ?? (/^\d+$/.test(target) ? dockerfile.stages[Number(target)] : undefined);
}

/** The stages and images an instruction takes files from. */
export function referredSources(instruction: StageInstruction): Word[] {
  if (instruction.kind === 'COPY') return instruction.from === undefined ? [] : [instruction.from];
  if (instruction.kind !== 'RUN') return [];
  return instruction.mounts.flatMap((mount) => {
    const { from } = parseRunMount(mount.text, undefined, () => {
      throw new GantryError('internal', 'mounts were checked when they were parsed');
    });
    return from === undefined ? [] : [{ text: from, position: mount.position }];
  });
}
