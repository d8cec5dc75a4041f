//! Programs whose bottleneck is known.
