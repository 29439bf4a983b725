"""Cross-entropy against the L1 norm of weights: training with two objectives, and the front between them."""
