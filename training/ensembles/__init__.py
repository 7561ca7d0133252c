"""The ensembles that HDhE is compared with: what joins the losses of their heads, one file a method."""
