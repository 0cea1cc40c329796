import type { BuildEvent } from '../../api/mod.ts';

/** Is told what happens during a build. */
export type BuildListener = (event: BuildEvent) => void;
