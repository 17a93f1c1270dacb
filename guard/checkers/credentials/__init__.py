"""How secrets are recognised: by the forms that vendors give their tokens, check digits, and how random they look."""
