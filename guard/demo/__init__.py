"""Small models trained on the spot, so that the product runs on real input without any download."""
