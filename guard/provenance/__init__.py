"""Marks on what is released, and what can be read back from them: credentials, text manifests, inspection."""
