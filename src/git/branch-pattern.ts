/** Whether the branch matches the pattern: `*` matches inside one path component, `**` across them, `?` one character. */
export function matchesBranchPattern(pattern: string, branch: string): boolean {
  const source = pattern.replaceAll(/\*\*|\*|\?|[^*?]+/g, (part) => {
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    return part.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  });
  return new RegExp(`^${source}$`, 's').test(branch);
}
