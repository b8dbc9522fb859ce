"""What the documentation site has beside docs/: pages made from the code, and links that fit both."""
