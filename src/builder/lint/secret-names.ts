const secret = /(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const harmless = /(?:_|^)(?:public|file|version)(?:_|$)/i;

/** Whether a variable's name says that its value is a secret, as BuildKit's check decides it. */
export function isSecretName(name: string): boolean {
  return secret.test(name) && !harmless.test(name);
}
