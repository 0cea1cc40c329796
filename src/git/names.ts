import { GantryError } from '../kernel/mod.ts';

/** Namespace and name of a Repository resource. */
export interface RepositoryName {
  readonly namespace: string;
  readonly name: string;
}

/** The namespace of repositories that are addressed by their name alone. */
export const defaultNamespace = 'default';

const labelPattern = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** Whether the text may name a repository: a DNS label, so that workloads and host names can be called after it. */
export function isRepositoryName(text: string): boolean {
  return labelPattern.test(text);
}

/** Whether the text may name a namespace: a DNS label. */
export function isNamespaceName(text: string): boolean {
  return labelPattern.test(text);
}

/** Throws `invalid` for a namespace or repository name that could leave the root folder or be taken for an option. */
export function checkRepositoryName({ namespace, name }: RepositoryName): void {
  if (!isNamespaceName(namespace)) throw new GantryError('invalid', `invalid namespace ${quote(namespace)}: lower-case letters, digits and dashes only`);
  if (!isRepositoryName(name)) throw new GantryError('invalid', `invalid repository name ${quote(name)}: lower-case letters, digits and dashes only, at most 63`);
}

/** Whether the text is a full SHA-1 object id in lower case. */
export function isCommitId(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

/** Throws `invalid` for what is not a full object id, so that no revision syntax or option reaches git. */
export function checkCommitId(text: string): void {
  if (!isCommitId(text)) throw new GantryError('invalid', `invalid commit ${quote(text)}: a commit is named by its 40 hex digits`);
}

/**
 * Why the text is no full ref name, or undefined when it is one: the rules of git-check-ref-format(1), and no component may
 * begin with a dash, which git allows but which command lines take for an option.
 */
export function refNameProblem(ref: string): string | undefined {
  if (!ref.startsWith('refs/')) return 'it does not begin with refs/';
  if (ref.length > 1024) return 'it is longer than 1024 characters';
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what is forbidden
  if (/[\u0000-\u0020\u007f~^:?*[\\]/.test(ref)) return 'it contains a space, a control character or one of ~^:?*[\\';
  if (ref.includes('..') || ref.includes('@{')) return 'it contains .. or @{';
  for (const component of ref.split('/')) {
    if (component === '') return 'it has an empty component';
    if (component.startsWith('.') || component.startsWith('-')) return 'a component begins with a dot or a dash';
    if (component.endsWith('.') || component.endsWith('.lock')) return 'a component ends with a dot or with .lock';
  }
  return undefined;
}

/** Throws `invalid` for a path that is not relative to the tree's root. The empty path is the root itself. */
export function checkTreePath(path: string): void {
  const isBad = path.startsWith('/') || path.includes('\0') || path.includes('\n') || path.split('/').some((part) => part === '..' || part === '.');
  if (isBad || path.includes('//')) throw new GantryError('invalid', `invalid path ${quote(path)}: paths are relative to the root of the tree`);
}

/** The text as it may appear in a message: quoted, cut at 100 characters. */
function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
