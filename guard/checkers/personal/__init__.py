"""How personal data is recognised: by form, check digits and the words nearby (native), or by presidio's patterns."""
