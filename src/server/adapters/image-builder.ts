import { type Builder, classicView } from '../../builder/mod.ts';
import type { ImageBuilder } from '../../engine/mod.ts';

/** Lets the Docker API's `POST /build` use the builder. */
export function imageBuilderOf(builder: Builder): ImageBuilder {
  return {
    build: (request, output, signal) => builder.build(request, (plan) => classicView(plan.stages.map(({ index }) => index), output), signal),
  };
}
