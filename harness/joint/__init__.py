"""Several trials computed as one: heads over one frozen front, or fused networks."""
