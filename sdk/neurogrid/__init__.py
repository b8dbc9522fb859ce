"""The NeuroGrid client SDK and the neurogrid command."""
