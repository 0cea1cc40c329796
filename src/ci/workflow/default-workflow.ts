/** Path under which runs of the default pipeline show up; no file can have it. */
export const defaultWorkflowPath = '<default pipeline>';

export interface RepositoryContents {
  /** Names of the `scripts` of package.json; undefined without one. */
  readonly scripts: readonly string[] | undefined;
  readonly hasLockFile: boolean;
  readonly hasDockerfile: boolean;
}

/**
 * The pipeline of a repository that has no workflow files, as a workflow file: npm test scripts, then the image of a Dockerfile.
 * Undefined when there is nothing that we know how to test.
 */
export function defaultWorkflow({ scripts, hasLockFile, hasDockerfile }: RepositoryContents, repository: string): string | undefined {
  const tests = (scripts ?? []).filter((name) => name === 'test' || /^test:(?:unit|integration|e2e)$/.test(name));
  const chosen = tests.includes('test') ? ['test'] : tests;
  if (chosen.length === 0 && !hasDockerfile) return undefined;
  const lines = ['name: default pipeline', 'on: push', 'jobs:'];
  if (chosen.length > 0) {
    lines.push('  test:', '    runs-on: ubuntu-latest', '    steps:', '      - uses: actions/checkout@v4', `      - run: npm ${hasLockFile ? 'ci' : 'install --no-audit --no-fund'}`);
    for (const script of chosen) lines.push(`      - run: npm run ${script}`);
  }
  if (hasDockerfile) {
    lines.push('  image:', ...(chosen.length > 0 ? ['    needs: test'] : []), '    runs-on: ubuntu-latest', '    steps:', '      - uses: docker/build-push-action@v6', '        with:', '          push: true', `          tags: ${repository}:\${{ github.sha }}`);
  }
  return `${lines.join('\n')}\n`;
}
