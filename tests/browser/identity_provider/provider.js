// A certified identity provider for the tests: node provider.js PORT REDIRECT_URI
import Provider from 'oidc-provider';

const [port, redirectUri] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const groups = { anna: ['staff', 'mailing-operators'], olga: ['staff'] };
const api = { scope: 'mailing', audience: 'mailing-api', accessTokenFormat: 'jwt' };

const provider = new Provider(issuer, {
  clients: [
    { client_id: 'console', client_secret: 'secret:with/signs', redirect_uris: [redirectUri] },
    {
      client_id: 'shop',
      client_secret: 'secret-of-the-shop',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      scope: 'mailing',
    },
  ],
  pkce: { required: () => true },
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username', 'groups'],
    email: ['email', 'email_verified'],
  },
  conformIdTokenClaims: false,
  cookies: { keys: ['of the tests'] },
  scopes: ['openid', 'offline_access', 'mailing'],
  findAccount: (_, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, preferred_username: id, name: `${id} of the provider`, groups: groups[id] ?? [] }),
  }),
  extraTokenClaims: async (_, token) =>
    token.kind === 'ClientCredentials' ? { groups: ['mailing-operators'] } : {},
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_, client) => (client.clientId === 'shop' ? 'urn:mailing:api' : undefined),
      getResourceServerInfo: () => api,
    },
  },
});
provider.listen(Number(port), '127.0.0.1');
