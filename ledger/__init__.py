"""What is true: types, the canonical codec, keys and signatures, Merkle trees, state, blocks, genesis.

Imports no sibling package, opens no socket, reads no clock, counts no votes but those in a seal.
"""
