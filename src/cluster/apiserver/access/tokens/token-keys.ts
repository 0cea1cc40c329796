import type { Exchange } from '../../handlers/exchange.ts';
import { sendJson } from '../../requests/respond.ts';
import { type ServiceAccountTokens, tokenIssuer } from './service-account-tokens.ts';

/** Answers the two OpenID paths by which others can check service account tokens; false for any other path. */
export async function serveTokenKeys({ request, response, info }: Exchange, tokens: ServiceAccountTokens): Promise<boolean> {
  if (info.verb !== 'get') return false;
  if (info.path === '/openid/v1/jwks') {
    await sendJson(request, response, 200, { keys: [tokens.publicKey] });
    return true;
  }
  if (info.path !== '/.well-known/openid-configuration') return false;
  await sendJson(request, response, 200, {
    issuer: tokenIssuer,
    jwks_uri: `${tokenIssuer}/openid/v1/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  });
  return true;
}
