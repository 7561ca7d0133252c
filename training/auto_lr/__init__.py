"""AutoLR: rates of the blocks that a run finds for itself (Ro & Choi, AAAI 2021)."""
