"""The provider daemon: it advertises one machine, bids, runs jobs in containers and is paid."""
