"""The record: a Merkle log of what was asked, made, decided and released, with its writer, reader and verifier."""
