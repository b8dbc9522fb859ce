"""What the commands of this package share: how they are loaded, how they print, how they fail."""
