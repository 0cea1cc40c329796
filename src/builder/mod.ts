/**
 * builder: Dockerfiles to images, as a compiler: text → logical lines → instructions (dockerfile/) → a plan of steps (plan/) → layers (executor/).
 * Read builder.ts (the face), dockerfile/parse.ts, plan/planner.ts and executor/build-executor.ts, in this order; ports.ts is what it needs of an engine.
 */
export { Builder, type BuilderOptions, type BuildRequest } from './builder.ts';
export { type BuildEnvironment, type BuilderConfig, builderConfigSchema } from './config.ts';
export type { BuildPlan } from './plan/build-plan.ts';
export type * from './ports.ts';
export type { BuildListener } from './progress/build-event.ts';
export { BuilderApi } from './api/builder-api.ts';
export { ContextStore } from './contexts/context-store.ts';
export { classicView } from './progress/classic-view.ts';
export { bootstrapImage, bootstrapNames, bootstrappedLabel } from './bootstrap/bootstrap-image.ts';
export type { BootstrapOptions } from './bootstrap/recipe.ts';
export { ImageBuilds, type ImageBuildsOptions, type ImageBuildsParts } from './image-builds/image-builds.ts';
