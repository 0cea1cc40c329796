import { accessSync, constants } from 'node:fs';

/** Why a test that needs root and the programs cannot run here; false when it can. For the `skip` option. */
export function rootNeeds(...programs: string[]): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = programs.filter((program) => !isInstalled(program));
  return missing.length > 0 && `needs ${missing.join(', ')}`;
}

function isInstalled(program: string): boolean {
  return ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/local/bin', '/usr/local/sbin'].some((folder) => {
    try {
      accessSync(`${folder}/${program}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
