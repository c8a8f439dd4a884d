"""OpenID Connect: tokens of an identity provider, verified by the API itself."""
