"""Talking to other machines: authenticated, framed, signed channels over libp2p.

`host` opens and accepts connections, `channel` carries messages over one of them, `session` signs
and checks what travels. Everything here is trio.
"""
