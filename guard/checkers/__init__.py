"""The built-in checkers, one file a risk; a policy names them and `guard.plugins` finds them."""
