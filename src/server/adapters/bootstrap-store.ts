import type { BootstrapStore } from '../../builder/mod.ts';
import type { ImageStore } from '../../engine/mod.ts';

/** Lets base images be made in the engine's image store. */
export function bootstrapStoreOf(images: ImageStore): BootstrapStore {
  return {
    findImage: (reference) => images.find(reference)?.id,
    importLayer: (tar, signal) => images.importLayer(tar, signal),
    createImage: (config, references, signal) => images.createImage(config, references, signal),
  };
}
