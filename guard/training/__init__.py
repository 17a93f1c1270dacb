"""How the models that ship were trained: not needed to use them."""
