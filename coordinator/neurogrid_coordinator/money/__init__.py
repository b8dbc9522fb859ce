"""What leases, transfers and invoices come to, and the chain that they are paid on."""
