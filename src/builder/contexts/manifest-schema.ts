import { z } from 'zod';

/** Relative and clean. */
const pathSchema = z.string().max(4096).refine((path) => path.split('/').every((part) => part !== '' && part !== '.' && part !== '..'));

/** A manifest as clients send it and as it is kept. */
export const manifestSchema = z.array(z.tuple([pathSchema, z.string().max(200)])).max(2_000_000);
