"""The core: what personal data is where, what the policy says must happen to it, and what has."""
