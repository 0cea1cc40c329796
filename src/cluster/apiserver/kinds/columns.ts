import { ageSince } from './age.ts';
import type { Column } from './kind.ts';

/** The first column of nearly every kind. */
export const nameColumn: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name must be unique within a namespace. Is required when creating resources.',
  cell: ({ metadata }) => metadata.name,
};

/** How long ago the object was made. */
export const ageColumn: Column = {
  name: 'Age',
  type: 'string',
  description: 'Time since the object was created.',
  cell: ({ metadata }, nowMs) => ageSince(metadata.creationTimestamp, nowMs),
};
