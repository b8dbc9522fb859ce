"""Where doctor's facts come from. What they mean is judged one folder up, without I/O."""
