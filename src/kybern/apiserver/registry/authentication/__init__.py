"""Questions about who: TokenReview, SelfSubjectReview; and tokens."""
