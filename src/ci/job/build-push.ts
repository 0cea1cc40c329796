import { type BuiltImage, familiarImageReference, formatImageReference, type ImageBuildSpec, imageFormatFields, parseImageFormat, parseImageReference } from '../../api/mod.ts';
import { formatPlace, GantryError } from '../../kernel/mod.ts';
import type { Evaluation } from '../expressions/evaluate.ts';
import type { BuildPushInput, BuildPushStep, Template } from '../workflow/model.ts';

/** Turns the inputs of `docker/build-push-action` into an ImageBuild. Names without a registry are pushed to ours. */
export function toImageBuildSpec({ inputs }: BuildPushStep, evaluation: Evaluation, source: ImageBuildSpec['source'], registryHost: string): ImageBuildSpec {
  const text = (name: BuildPushInput): string | undefined => evaluation.optional(inputs[name])?.trim();
  const push = evaluation.boolean(inputs.push, false);
  if (!push && !evaluation.boolean(inputs.load, true)) throw failure(inputs.load, 'with neither push nor load the image would go nowhere');
  const contextPath = folderOf(text('context') ?? '.', inputs.context);
  const file = text('file');
  const tags = list(text('tags')).map((tag) => qualify(tag, inputs.tags, push ? registryHost : undefined));
  if (push && tags.length === 0) throw failure(inputs.tags, 'an image that is pushed needs tags');
  const target = text('target');
  const spec: ImageBuildSpec = { source, contextPath, tags, push };
  if (file !== undefined && file !== '') spec.dockerfile = relativeTo(contextPath, folderOf(file, inputs.file), inputs.file);
  if (target !== undefined && target !== '') spec.target = target;
  const buildArgs = pairs(text('build-args'), 'build-args', inputs['build-args']);
  if (Object.keys(buildArgs).length > 0) spec.buildArgs = buildArgs;
  const labels = pairs(text('labels'), 'labels', inputs.labels);
  if (Object.keys(labels).length > 0) spec.labels = labels;
  if (evaluation.boolean(inputs['no-cache'], false)) spec.noCache = true;
  const stages = list(text('no-cache-filters'));
  if (stages.length > 0) spec.noCacheStages = stages;
  if (evaluation.boolean(inputs.pull, false)) spec.pull = true;
  const platforms = list(text('platforms'));
  if (platforms.length > 1) throw failure(inputs.platforms, "images are built for one platform: the node's own");
  if (platforms[0] !== undefined) spec.platform = platforms[0];
  addCaches(spec, inputs, text, registryHost);
  const contexts = pairs(text('build-contexts'), 'build-contexts', inputs['build-contexts']);
  for (const [name, value] of Object.entries(contexts)) {
    if (!/^docker-image:\/\/./.test(value) && !/^(?:https?|git|ssh):\/\//.test(value)) throw failure(inputs['build-contexts'], `the context ${name} is neither docker-image://NAME nor the URL of a git repository`);
  }
  if (Object.keys(contexts).length > 0) spec.contexts = contexts;
  const format = formatOf(text('outputs'), inputs.outputs);
  if (format !== undefined) spec.format = format;
  return spec;
}

/** `type=registry,ref=NAME[,mode=max]`, `type=inline`, or a name; one a line. Names without a registry are of ours. */
function addCaches(spec: ImageBuildSpec, inputs: BuildPushStep['inputs'], text: (name: BuildPushInput) => string | undefined, registryHost: string): void {
  const entries = (name: 'cache-from' | 'cache-to'): { reference: string; mode: 'min' | 'max' }[] =>
    lines(text(name)).flatMap((line) => {
      const fields: Record<string, string> = line.includes('=') ? fieldsOf(line, ['type', 'ref', 'mode'], inputs[name]) : { type: 'registry', ref: line };
      if (fields['type'] === 'inline' && name === 'cache-to') {
        spec.inlineCache = true;
        return [];
      }
      if (fields['type'] !== 'registry' || fields['ref'] === undefined) throw failure(inputs[name], `${name}: ${JSON.stringify(line)} is neither type=registry,ref=NAME nor, for cache-to, type=inline`);
      const { mode = 'min' } = fields;
      if (mode !== 'min' && mode !== 'max') throw failure(inputs[name], `${name}: the mode is min or max, not ${JSON.stringify(mode)}`);
      return [{ reference: qualify(fields['ref'], inputs[name], registryHost), mode }];
    });
  const from = entries('cache-from').map(({ reference }) => reference);
  if (from.length > 0) spec.cacheFrom = from;
  const to = entries('cache-to');
  if (to.length > 0) spec.cacheTo = to;
}

function formatOf(text: string | undefined, template: Template | undefined): ImageBuildSpec['format'] {
  const [line, ...more] = lines(text);
  if (line === undefined) return undefined;
  if (more.length > 0) throw failure(template, 'one output is supported');
  const fields = fieldsOf(line, ['type', ...imageFormatFields], template);
  if (fields['type'] !== 'image' && fields['type'] !== 'registry') throw failure(template, `outputs: ${JSON.stringify(fields['type'])} is not supported: the result is an image (type=image, with push or load)`);
  const format = withPlace(template, () => parseImageFormat(fields, 'outputs'));
  if (format === undefined) return undefined;
  const { isForced, ...rest } = format;
  return { ...rest, force: isForced };
}

function fieldsOf(line: string, known: readonly string[], template: Template | undefined): Record<string, string> {
  return Object.fromEntries(line.split(',').map((field) => {
    const equals = field.indexOf('=');
    if (equals < 0 || !known.includes(field.slice(0, equals))) throw failure(template, `${JSON.stringify(field)} is none of ${known.map((name) => `${name}=…`).join(', ')}`);
    return [field.slice(0, equals), field.slice(equals + 1)];
  }));
}

function withPlace<T>(template: Template | undefined, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw failure(template, error instanceof Error ? error.message : String(error));
  }
}

function lines(text: string | undefined): string[] {
  return (text ?? '').split('\n').map((line) => line.trim()).filter((line) => line !== '');
}

/** The images of a build that was pushed: one for each repository among its tags. */
export function toBuiltImages(tags: readonly string[], digest: string): BuiltImage[] {
  const byName = new Map(tags.map((tag) => {
    const { host, repository } = parseImageReference(tag);
    return [repository, { name: repository, digest, reference: `${formatImageReference({ host, repository })}@${digest}` }];
  }));
  return [...byName.values()];
}

/** The commit's tree is the context, so `{context}` of the workspace and the default (the repository) are the same. */
function folderOf(path: string, template: Template | undefined): string {
  const clean = path.replace(/^\.\//, '').replace(/\/+$/, '');
  if (clean.startsWith('/') || clean.includes('://') || clean.split('/').includes('..')) throw failure(template, `${JSON.stringify(path)} is not a path inside the repository`);
  return clean === '' ? '.' : clean;
}

/** `file` counts from the repository, the Dockerfile of an ImageBuild from the context. */
function relativeTo(contextPath: string, file: string, template: Template | undefined): string {
  if (contextPath === '.') return file;
  if (!file.startsWith(`${contextPath}/`)) throw failure(template, `the Dockerfile ${file} must be inside the context ${contextPath}`);
  return file.slice(contextPath.length + 1);
}

function qualify(tag: string, template: Template | undefined, registryHost: string | undefined): string {
  try {
    const reference = parseImageReference(tag);
    if (reference.digest !== undefined) throw new GantryError('invalid', `${tag} has a digest; a tag is expected`);
    const familiar = familiarImageReference(reference);
    const hasHost = formatImageReference(reference) === familiar || /^[^/]*[.:][^/]*\//.test(tag) || tag.startsWith('localhost/');
    return registryHost === undefined || hasHost ? familiar : `${registryHost}/${familiar}`;
  } catch (error) {
    throw failure(template, error instanceof Error ? error.message : String(error));
  }
}

/** Lines, or comma-separated. */
function list(text: string | undefined): string[] {
  return (text ?? '').split(/[\n,]/).map((item) => item.trim()).filter((item) => item !== '');
}

function pairs(text: string | undefined, what: string, template: Template | undefined): Record<string, string> {
  const lines = (text ?? '').split('\n').map((line) => line.trim()).filter((line) => line !== '');
  return Object.fromEntries(lines.map((line) => {
    const equals = line.indexOf('=');
    if (equals <= 0) throw failure(template, `${what}: ${JSON.stringify(line)} is not name=value`);
    return [line.slice(0, equals), line.slice(equals + 1)];
  }));
}

function failure(template: Template | undefined, message: string): GantryError {
  const place = { ...template?.place, message };
  return new GantryError('invalid', formatPlace(place), { places: [place] });
}
