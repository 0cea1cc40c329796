import { posix } from 'node:path';

/** A git repository that ADD, or a named context, takes files from. */
export interface GitSource {
  /** As it is written, for messages and history. */
  readonly text: string;
  readonly remote: string;
  /** A branch, a tag, a full ref or a commit; undefined: the repository's own default. */
  readonly ref?: string;
  /** Folder inside the repository that is taken; absolute, clean. */
  readonly folder: string;
  /** Hex digits that the commit must begin with. */
  readonly checksum?: string;
  readonly keepsGitFolder: boolean;
  readonly hasSubmodules: boolean;
}

const safeRef = /^(?!-)(?!.*(?:\.\.|@\{|\/\/))[\w./@+-]+$/;

/**
 * The repository that a source of ADD names (Dockerfile reference, "Adding files from a Git repository"): `git://`, `ssh://`, `user@host:path`, or
 * `http(s)://` with a path that ends with `.git`, then `#ref:folder` or `?ref=…&subdir=…`. Undefined: no repository; a message when it is malformed.
 */
export function parseGitSource(text: string): GitSource | { message: string } | undefined {
  if (!/^(?:git|ssh|https?):\/\//.test(text) && !/^[\w.-]+@[\w.-]+:(?!\/\/)/.test(text)) return undefined;
  const [beforeFragment = '', fragment = ''] = text.split(/#(.*)/s);
  const [remote = '', queryText = ''] = beforeFragment.split(/\?(.*)/s);
  if (/^https?:/.test(remote) && !URL.parse(remote)?.pathname.endsWith('.git')) return undefined;
  if (/[\s\p{Cc}]/u.test(remote) || (/:\/\//.test(remote) && URL.parse(remote) === null)) return { message: `${JSON.stringify(text)} is no URL of a git repository` };
  const [fragmentRef = '', fragmentFolder = ''] = fragment.split(/:(.*)/s);
  const found: Found = { ...(fragmentRef === '' ? {} : { ref: fragmentRef }), ...(fragmentFolder === '' ? {} : { folder: fragmentFolder }) };
  for (const [name, value] of new URLSearchParams(queryText)) {
    const problem = Object.hasOwn(query, name) ? query[name]?.(found, value) : `unknown query ${JSON.stringify(name)}; known are ${Object.keys(query).join(', ')}`;
    if (problem !== undefined) return { message: `${JSON.stringify(text)}: ${problem}` };
  }
  const { ref, folder = '/', checksum, keepsGitFolder = false, hasSubmodules = true } = found;
  if (ref !== undefined && !safeRef.test(ref)) return { message: `${JSON.stringify(ref)} is no branch, tag or commit` };
  return { text, remote, ...(ref === undefined ? {} : { ref }), folder: posix.normalize(`/${folder}`), ...(checksum === undefined ? {} : { checksum }), keepsGitFolder, hasSubmodules };
}

interface Found {
  ref?: string;
  folder?: string;
  checksum?: string;
  keepsGitFolder?: boolean;
  hasSubmodules?: boolean;
}

/** Each takes a query into what was found; a message when it cannot be. */
const query: Readonly<Record<string, (found: Found, value: string) => string | undefined>> = {
  ref: (found, value) => setRef(found, value),
  branch: (found, value) => setRef(found, value.startsWith('refs/heads/') ? value : `refs/heads/${value}`),
  tag: (found, value) => setRef(found, value.startsWith('refs/tags/') ? value : `refs/tags/${value}`),
  subdir: (found, value) => {
    if (found.folder !== undefined && found.folder !== value) return 'two folders are given';
    found.folder = value;
    return undefined;
  },
  checksum: setChecksum,
  commit: setChecksum,
  'keep-git-dir': (found, value) => setFlag(value, (isSet) => (found.keepsGitFolder = isSet)),
  submodules: (found, value) => setFlag(value, (isSet) => (found.hasSubmodules = isSet)),
};

function setRef(found: Found, value: string): string | undefined {
  if (value === '' || (found.ref !== undefined && found.ref !== value)) return value === '' ? 'the ref is empty' : 'two refs are given';
  found.ref = value;
  return undefined;
}

function setChecksum(found: Found, value: string): string | undefined {
  if (!isCommitChecksum(value)) return 'a commit is 7 to 64 hex digits';
  found.checksum = value;
  return undefined;
}

/** What `--checksum` of a git source may be. */
export function isCommitChecksum(text: string): boolean {
  return /^[0-9a-f]{7,64}$/.test(text);
}

function setFlag(value: string, set: (isSet: boolean) => void): string | undefined {
  if (!/^(?:|1|t|true|0|f|false)$/i.test(value)) return `${JSON.stringify(value)} is neither true nor false`;
  set(!/^(?:0|f|false)$/i.test(value));
  return undefined;
}
