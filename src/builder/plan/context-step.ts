import type { FromInstruction } from '../dockerfile/instruction.ts';
import type { SourceFile } from '../dockerfile/source-file.ts';
import type { Step } from './build-plan.ts';

/** What a stage on a named context begins with: all files of the context's folder. */
export function contextStep(name: string, from: FromInstruction, source: SourceFile, number: number): Step {
  return {
    number,
    text: `FROM context ${name}`,
    position: from.position,
    source,
    createdBy: `FROM context ${name}`,
    action: {
      kind: 'copy',
      from: { kind: 'context', name },
      sources: ['/'],
      remoteFiles: [],
      gitSources: [],
      inlineFiles: [],
      destination: '/',
      excludes: [],
      isLink: false,
      keepsParents: false,
      unpacks: false,
      unpacksRemote: false,
    },
    isHidden: false,
  };
}
