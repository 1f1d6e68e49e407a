"""A device's key pair. One seed makes both of its halves (edge_peer/security/ed25519.py)."""


class Key:
    """signer: Ed25519's public key, public: X25519's. What is secret of it is not shown."""

    def __init__(
        self, seed: bytes, private: bytes, prefix: bytes, signer: bytes, public: bytes
    ) -> None:
        self.seed = seed
        self.private = private
        self.prefix = prefix
        self.signer = signer
        self.public = public
