import { z } from 'zod';
import { GantryError } from '../../kernel/mod.ts';
import type { RepositoryRef, SourceReader } from '../ports.ts';
import { defaultWorkflow, defaultWorkflowPath } from './default-workflow.ts';
import type { Workflow } from './model.ts';
import { parseWorkflow } from './parse-workflow.ts';
import type { Toolkit } from './toolkit.ts';

const workflowFolder = '.github/workflows';
const packageSchema = z.object({ scripts: z.record(z.string(), z.string()).optional() });

/** Reads workflows of commits. */
export class WorkflowLoader {
  readonly #toolkit: Toolkit;
  readonly #source: SourceReader;

  constructor(toolkit: Toolkit, source: SourceReader) {
    this.#toolkit = toolkit;
    this.#source = source;
  }

  /**
   * All workflows of the commit; without workflow files, the default pipeline if there is anything to test or build.
   * `invalid` with the places of everything wrong in any file.
   */
  async loadAll(repository: RepositoryRef, commit: string, signal: AbortSignal): Promise<Workflow[]> {
    const paths = (await this.#source.listFiles(repository, commit, workflowFolder, signal)).filter((path) => /^\.github\/workflows\/[^/]+\.ya?ml$/.test(path));
    if (paths.length === 0) {
      const pipeline = await this.#loadDefault(repository, commit, signal);
      return pipeline === undefined ? [] : [pipeline];
    }
    const workflows: Workflow[] = [];
    const failures: GantryError[] = [];
    for (const path of paths.toSorted()) {
      try {
        workflows.push(await this.#loadFile(repository, commit, path, signal));
      } catch (error) {
        if (!(error instanceof GantryError) || error.code !== 'invalid') throw error;
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new GantryError('invalid', failures.map(({ message }) => message).join('\n'), { places: failures.flatMap(({ places }) => places) });
    return workflows;
  }

  /** The workflow of a run: of the file, or the default pipeline when `path` is undefined. `not-found` when the commit has none. */
  async load(repository: RepositoryRef, commit: string, path: string | undefined, signal: AbortSignal): Promise<Workflow> {
    if (path !== undefined) return this.#loadFile(repository, commit, path, signal);
    const pipeline = await this.#loadDefault(repository, commit, signal);
    if (pipeline === undefined) throw new GantryError('not-found', nothingToRun);
    return pipeline;
  }

  async #loadFile(repository: RepositoryRef, commit: string, path: string, signal: AbortSignal): Promise<Workflow> {
    const text = await this.#source.readFile(repository, commit, path, signal);
    if (text === undefined) throw new GantryError('not-found', `the commit has no file ${path}`);
    return parseWorkflow(this.#toolkit, text, path);
  }

  async #loadDefault(repository: RepositoryRef, commit: string, signal: AbortSignal): Promise<Workflow | undefined> {
    const read = (path: string): Promise<string | undefined> => this.#source.readFile(repository, commit, path, signal);
    const [manifest, lock, shrinkwrap, dockerfile] = await Promise.all(['package.json', 'package-lock.json', 'npm-shrinkwrap.json', 'Dockerfile'].map(read));
    const contents = { scripts: manifest === undefined ? undefined : scriptsOf(manifest), hasLockFile: lock !== undefined || shrinkwrap !== undefined, hasDockerfile: dockerfile !== undefined };
    const text = defaultWorkflow(contents, repository.name);
    return text === undefined ? undefined : parseWorkflow(this.#toolkit, text, defaultWorkflowPath);
  }
}

/** Why nothing runs for a repository without workflows. */
export const nothingToRun = 'there are no workflows in .github/workflows, no test script in package.json, and no Dockerfile';

function scriptsOf(manifest: string): string[] {
  try {
    return Object.keys(packageSchema.parse(JSON.parse(manifest)).scripts ?? {});
  } catch (error) {
    const place = { file: 'package.json', line: 1, column: 1, message: 'the file is not a package manifest' };
    throw new GantryError('invalid', `package.json: ${place.message}`, { places: [place], cause: error });
  }
}
