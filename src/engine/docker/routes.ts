import { buildRoutes } from './handlers/build.ts';
import { containerRoutes } from './handlers/containers.ts';
import { execRoutes } from './handlers/exec.ts';
import { fileRoutes } from './handlers/files.ts';
import { imageRoutes } from './handlers/images.ts';
import { networkRoutes } from './handlers/networks.ts';
import { streamRoutes } from './handlers/streams.ts';
import { systemRoutes } from './handlers/system.ts';
import { volumeRoutes } from './handlers/volumes.ts';
import type { Route } from './route.ts';

/** Every end point that is known, served or refused, in the order in which they are matched. */
export const dockerRoutes: readonly Route[] = [...systemRoutes, ...containerRoutes, ...fileRoutes, ...streamRoutes, ...execRoutes, ...imageRoutes, ...buildRoutes, ...networkRoutes, ...volumeRoutes];
