/** Whether only this machine can reach a listener at the host name or address, which may stand in brackets as URLs have it. */
export function isLoopbackHost(host: string): boolean {
  return /^(127(\.\d{1,3}){3}|\[?::1\]?|localhost)$/.test(host);
}
