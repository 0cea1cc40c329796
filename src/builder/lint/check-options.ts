/** What `# check=` (or the build argument BUILDKIT_DOCKERFILE_CHECK) asks for. */
export interface CheckOptions {
  readonly skip: 'all' | ReadonlySet<string>;
  readonly experimental: 'all' | ReadonlySet<string>;
  /** Warnings fail the build. */
  readonly isError: boolean;
}

export const defaultCheckOptions: CheckOptions = { skip: new Set(), experimental: new Set(), isError: false };

/** `skip=a,b;error=true;experimental=all` (Dockerfile reference, "check"); a message when it is malformed. */
export function parseCheckOptions(text: string): CheckOptions | { message: string } {
  let options = defaultCheckOptions;
  if (text.trim() === '') return options;
  for (const part of text.split(';')) {
    const at = part.indexOf('=');
    const name = part.slice(0, at < 0 ? undefined : at).trim();
    const value = at < 0 ? '' : part.slice(at + 1).trim();
    if (at < 0) return { message: `invalid check option ${JSON.stringify(part)}: the form is name=value` };
    if (name === 'skip' || name === 'experimental') options = { ...options, [name]: value === 'all' ? value : new Set(value.split(',').map((rule) => rule.trim())) };
    else if (name !== 'error') return { message: `unknown check option ${JSON.stringify(name)}; known are skip, error and experimental` };
    else if (/^(?:1|t|true)$/i.test(value)) options = { ...options, isError: true };
    else if (/^(?:0|f|false)$/i.test(value)) options = { ...options, isError: false };
    else return { message: `the check option error is true or false, not ${JSON.stringify(value)}` };
  }
  return options;
}

/** The options with those of comments above one instruction added: `# check=skip=Rule`. Malformed ones change nothing, as in BuildKit. */
export function withComments(options: CheckOptions, comments: readonly string[]): CheckOptions {
  const text = comments.map((comment) => /^check\s*=\s*(\S+)/i.exec(comment)?.[1]).find((value) => value !== undefined);
  const own = text === undefined ? undefined : parseCheckOptions(text);
  if (own === undefined || 'message' in own) return options;
  return { ...options, skip: union(options.skip, own.skip), experimental: union(options.experimental, own.experimental) };
}

function union(a: CheckOptions['skip'], b: CheckOptions['skip']): CheckOptions['skip'] {
  return a === 'all' || b === 'all' ? 'all' : new Set([...a, ...b]);
}
