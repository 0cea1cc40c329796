import { GantryError } from '../../kernel/mod.ts';
import type { Route } from './route.ts';

/**
 * What an end point does at a scoped socket. `open`: tells nothing of others and changes nothing. `own`: finds and makes only what is the
 * scope's, because its handler has nothing but the scope's engine and images. `refused`: 403, whatever is asked.
 */
export type ScopedBehaviour = 'open' | 'own' | 'refused';

/**
 * Every end point of the table of routes, declared one by one. One that is not here is refused, and a test fails until somebody has
 * thought about what it gives to those who are not trusted.
 */
export const scopedRoutes: Readonly<Record<string, ScopedBehaviour>> = {
  'GET /_ping': 'open',
  'HEAD /_ping': 'open',
  'GET /version': 'open',
  'GET /info': 'own',
  'GET /events': 'own',
  'POST /auth': 'open',
  'GET /system/df': 'own',
  'POST /session': 'refused',
  'POST /grpc': 'refused',
  'GET /swarm': 'refused',
  'POST /swarm/{action}': 'refused',
  'GET /nodes': 'refused',
  'GET /services': 'refused',
  'GET /tasks': 'refused',
  'GET /secrets': 'refused',
  'GET /configs': 'refused',
  'GET /plugins': 'refused',
  'GET /plugins/{name...}/json': 'open',

  'GET /containers/json': 'own',
  'POST /containers/create': 'own',
  'GET /containers/{id}/json': 'own',
  'GET /containers/{id}/top': 'own',
  'POST /containers/{id}/start': 'own',
  'POST /containers/{id}/stop': 'own',
  'POST /containers/{id}/restart': 'own',
  'POST /containers/{id}/kill': 'own',
  'POST /containers/{id}/update': 'own',
  'POST /containers/{id}/rename': 'own',
  'POST /containers/{id}/pause': 'own',
  'POST /containers/{id}/unpause': 'own',
  'POST /containers/{id}/wait': 'own',
  'DELETE /containers/{id}': 'own',
  'POST /containers/prune': 'own',
  'HEAD /containers/{id}/archive': 'own',
  'GET /containers/{id}/archive': 'own',
  'PUT /containers/{id}/archive': 'own',
  'GET /containers/{id}/export': 'own',
  'GET /containers/{id}/changes': 'own',
  'POST /commit': 'own',
  'GET /containers/{id}/logs': 'own',
  'POST /containers/{id}/attach': 'own',
  'GET /containers/{id}/attach/ws': 'refused',
  'POST /containers/{id}/resize': 'own',
  'GET /containers/{id}/stats': 'own',
  'POST /containers/{id}/exec': 'own',
  'POST /exec/{id}/start': 'own',
  'POST /exec/{id}/resize': 'own',
  'GET /exec/{id}/json': 'own',

  'GET /images/json': 'own',
  'POST /images/create': 'own',
  'GET /images/search': 'refused',
  'POST /images/prune': 'own',
  'GET /images/get': 'refused',
  'POST /images/load': 'refused',
  'GET /images/{name...}/json': 'own',
  'GET /images/{name...}/history': 'own',
  'GET /images/{name...}/get': 'refused',
  'POST /images/{name...}/push': 'refused',
  'POST /images/{name...}/tag': 'own',
  'DELETE /images/{name...}': 'own',
  'GET /distribution/{name...}/json': 'refused',

  // A build reads images of the host by FROM and runs outside of the scope's limits.
  'POST /build': 'refused',
  'POST /build/prune': 'refused',
  'POST /build/cancel': 'refused',

  'GET /networks': 'own',
  'GET /networks/{id}': 'own',
  'POST /networks/create': 'own',
  'DELETE /networks/{id}': 'own',
  'POST /networks/{id}/connect': 'own',
  'POST /networks/{id}/disconnect': 'own',
  'POST /networks/prune': 'own',

  'GET /volumes': 'own',
  'POST /volumes/create': 'own',
  'GET /volumes/{name}': 'own',
  'PUT /volumes/{name}': 'refused',
  'DELETE /volumes/{name}': 'own',
  'POST /volumes/prune': 'own',
};

/** `forbidden` for end points that a scoped socket does not serve. */
export function admitToScope({ method, path, summary }: Pick<Route, 'method' | 'path' | 'summary'>): void {
  const behaviour = scopedRoutes[`${method} ${path}`] ?? 'refused';
  if (behaviour === 'refused') throw new GantryError('forbidden', `${summary}: not at a scoped endpoint`);
}
