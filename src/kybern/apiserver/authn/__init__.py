"""Who sends a request: certificates, tokens, service accounts; in the order of chain.Chain."""
