/** What a build may do only when whoever asks for it allows it, by BuildKit's names. */
export type Entitlement = 'network.host' | 'security.insecure';

export const entitlements: readonly Entitlement[] = ['network.host', 'security.insecure'];
