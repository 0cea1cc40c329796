import { FieldErrors } from '../validation/field-errors.ts';
import { invalidOptions } from './request-options.ts';

const matches = ['Exact', 'NotOlderThan', ''];

/** How a list may be asked for (Kubernetes API concepts, "resourceVersionMatch"). 422 with every mistake. */
export function validateListOptions(query: URLSearchParams): void {
  const errors = new FieldErrors();
  const match = query.get('resourceVersionMatch') ?? '';
  const version = query.get('resourceVersion') ?? '';
  if (match !== '') {
    if (version === '') errors.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided');
    if ((query.get('continue') ?? '') !== '') errors.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided');
    if (!matches.includes(match)) errors.unsupported('resourceVersionMatch', match, matches);
    if (match === 'Exact' && version === '0') errors.forbidden('resourceVersionMatch', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
  }
  if (query.has('sendInitialEvents')) errors.forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list');
  if (errors.places.length > 0) throw invalidOptions('ListOptions', errors);
}

/** How a watch may be asked for. 422 with every mistake. */
export function validateWatchOptions(query: URLSearchParams): void {
  const errors = new FieldErrors();
  const match = query.get('resourceVersionMatch') ?? '';
  const isStreaming = query.has('sendInitialEvents');
  if (isStreaming && match !== 'NotOlderThan') errors.forbidden('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  if (match !== '') {
    if (!isStreaming) errors.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided');
    if (match !== 'NotOlderThan') errors.unsupported('resourceVersionMatch', match, ['NotOlderThan']);
    if ((query.get('continue') ?? '') !== '') errors.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided');
  }
  if (errors.places.length > 0) throw invalidOptions('ListOptions', errors);
}
