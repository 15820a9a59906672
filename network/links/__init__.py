"""Links between validators: one authenticated connection for every pair of members, made again for ever.

`mesh` holds them all: who dials whom, who is let in, what happens when one is lost. `link` is one of them, from its
first frame to its last; `tls` says who a peer is, `gate` how many strangers may try, `sockets` where a call goes,
`configured` what a node's settings make of it. Nothing here knows what a payload means.
"""

from network.links.configured import configured_mesh
from network.links.link import LinkLimits
from network.links.mesh import PeerMesh
from network.links.tls import LinkError

__all__ = ["LinkError", "LinkLimits", "PeerMesh", "configured_mesh"]
