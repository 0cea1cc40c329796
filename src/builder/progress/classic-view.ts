import { formatPlace } from '../../kernel/mod.ts';
import type { BuildEvent } from '../../api/mod.ts';
import type { BuildListener } from './build-event.ts';

/**
 * A build as `docker build` has always shown it (`Step 2/5 : RUN …`, ` ---> Using cache`). Stages may run at the same time, so
 * the first unfinished one is shown live and the text of the others is kept until it is their turn. `explains`: why steps were not cached.
 */
export function classicView(stages: readonly number[], write: (text: string) => void, options: { explains: boolean } = { explains: false }): BuildListener {
  const kept = new Map<number, string[]>(stages.map((stage) => [stage, []]));
  const finished = new Set<number>();
  let live = 0;

  const show = (stage: number, text: string): void => {
    if (stage === stages[live]) write(text);
    else kept.get(stage)?.push(text);
  };
  const advance = (): void => {
    for (let stage = stages[live]; stage !== undefined && finished.has(stage); stage = stages[live]) {
      live += 1;
      const next = stages[live];
      for (const text of next === undefined ? [] : (kept.get(next)?.splice(0) ?? [])) write(text);
    }
  };

  return (event: BuildEvent): void => {
    switch (event.kind) {
      case 'warning':
        return write(`[Warning] ${formatPlace(event.place)}\n`);
      case 'note':
        return write(`${event.text}\n`);
      case 'step-started':
        return show(event.stage, `Step ${event.number}/${event.count} : ${event.text}\n`);
      case 'output':
        return show(event.stage, event.text);
      case 'step-finished':
        if (options.explains && event.missReason !== undefined) show(event.stage, ` ---> Not cached: ${event.missReason}\n`);
        return show(event.stage, `${event.isCached ? ' ---> Using cache\n' : ''} ---> ${event.id}\n`);
      case 'stage-started':
        return;
      case 'stage-failed':
        for (const text of kept.get(event.stage)?.splice(0) ?? []) write(text);
        return;
      case 'stage-finished':
        finished.add(event.stage);
        return advance();
      case 'finished':
        write(`Successfully built ${event.imageId.slice('sha256:'.length, 'sha256:'.length + 12)}\n`);
        for (const tag of event.tags) write(`Successfully tagged ${tag}\n`);
    }
  };
}
