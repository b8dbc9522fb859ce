"""Services of running jobs, as HTTP and WebSocket, for who may use them."""
