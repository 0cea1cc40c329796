import { Environment } from '@marcbachmann/cel-js';
import { registerLists } from './library-lists.ts';
import { registerFormatting } from './library-format.ts';
import { registerSemver } from './library-semver.ts';
import { registerFormats, registerTexts } from './library-text.ts';
import { registerAddresses, registerQuantities, registerUrls } from './library-values.ts';

/** Larger expressions are refused when they are read. */
const limits = { maxAstNodes: 5000, maxDepth: 100, maxListElements: 1000, maxMapEntries: 1000, maxCallArguments: 32 };

let shared: Environment | undefined;

/** CEL with the functions that Kubernetes adds. Read only: declare types and variables in a clone. Made once, since it is costly. */
export function kubernetesCel(): Environment {
  if (shared !== undefined) return shared;
  const env = new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false, limits });
  registerTexts(env);
  registerLists(env);
  registerQuantities(env);
  registerUrls(env);
  registerAddresses(env);
  registerFormats(env);
  registerFormatting(env);
  registerSemver(env);
  shared = env.clone();
  return shared;
}
