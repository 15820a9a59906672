"""HTTP in front of a node: transactions in; blocks, receipts, proofs, events and the explorer out.

Written against `network.api.ValidatorApi` and `ExecutorApi` alone. It holds no key and decides nothing: a flood, a
crash or a slow client here must not delay a vote.
"""

from network.gateway.app import Gateway, create_app
from network.gateway.server import bind, serve
from network.gateway.settings import GatewaySettings

__all__ = ["Gateway", "GatewaySettings", "bind", "create_app", "serve"]
