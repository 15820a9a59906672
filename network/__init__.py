"""The world: peer links, mempool, sync, the processes of a node, the HTTP gateway, explorer, SDK and command line.

It performs what `consensus` says and shows what `ledger` and `contracts` hold; it decides no protocol question.
"""
