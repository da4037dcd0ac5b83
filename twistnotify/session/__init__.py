"""One client's conversation, pure: bytes in, actions and replies out."""
