"""A machine of the market that speaks HTTPS: what `neurogrid.Provider` runs for each of its resources."""
