import { timingSafeEqual } from 'node:crypto';
import type { k8s } from '../../../../api/mod.ts';
import type { Machine } from '../../operations/machine.ts';
import { BearerAuthenticator } from '../authenticators.ts';
import { authenticated, type User } from '../user.ts';

const tokenForm = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const groupForm = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

/**
 * Tokens by which a new node introduces itself (Kubernetes documentation, "Authenticating with bootstrap tokens"):
 * Secrets of kube-system named `bootstrap-token-ID`. The token is `ID.secret`; it ends with its expiration or its Secret.
 */
export class BootstrapTokens extends BearerAuthenticator {
  readonly #machine: Machine;

  constructor(machine: Machine) {
    super();
    this.#machine = machine;
  }

  protected find(token: string): User | undefined {
    const [, id, secret] = tokenForm.exec(token) ?? [];
    if (id === undefined || secret === undefined) return undefined;
    const stored = this.#machine.objects.get(`/core/secrets/kube-system/bootstrap-token-${id}`)?.object as (k8s.Secret & { metadata: { deletionTimestamp?: string } }) | undefined;
    if (stored?.type !== 'bootstrap.kubernetes.io/token' || stored.metadata.deletionTimestamp !== undefined) return undefined;
    const field = (name: string): string => Buffer.from(stored.data?.[name] ?? '', 'base64').toString();
    if (field('token-id') !== id || !isSame(field('token-secret'), secret) || field('usage-bootstrap-authentication') !== 'true') return undefined;
    if (isExpired(field('expiration'), this.#machine.clock.now())) return undefined;
    const extra = field('auth-extra-groups').split(',').filter((group) => group !== '');
    // A group outside of system:bootstrappers could be anything: such a token is no good.
    if (!extra.every((group) => groupForm.test(group))) return undefined;
    return authenticated(`system:bootstrap:${id}`, '', ['system:bootstrappers', ...extra]);
  }
}

function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

/** No expiration: for ever. One that cannot be read: over, as in Kubernetes. */
function isExpired(text: string, nowMs: number): boolean {
  return text !== '' && !(Date.parse(text) > nowMs);
}
