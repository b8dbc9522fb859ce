"""How clients pay for asking replicas: leases for use, and notes of what has reached them."""
