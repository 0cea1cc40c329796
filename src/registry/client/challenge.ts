/** A challenge of a WWW-Authenticate header (RFC 9110, 11.6.1). Parameter names are lower-case. */
export interface Challenge { readonly scheme: string; readonly parameters: ReadonlyMap<string, string> }

/** Parses the header's challenges; what is malformed is left out. Schemes are lower-case. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  const token = /\s*,?\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+)))?/y;
  for (let match = token.exec(header); match !== null; match = token.exec(header)) {
    const [, name = '', quoted, plain] = match;
    const value = quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1');
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    else challenges.at(-1)?.parameters.set(name.toLowerCase(), value);
  }
  return challenges;
}
