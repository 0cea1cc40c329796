const networkSysctl = /^net\.[a-z0-9_.\-/]+$/i;
const ipcSysctl = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\.[a-z_]+)$/;

/** Whether the setting belongs to a namespace that is the caller's own; all others would change the host (namespaces(7)). */
export function isNamespacedSysctl(name: string, owns: { network: boolean; ipc: boolean }): boolean {
  return (networkSysctl.test(name) && owns.network) || (ipcSysctl.test(name) && owns.ipc);
}
