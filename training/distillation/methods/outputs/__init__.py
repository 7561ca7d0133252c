"""Methods that compare what classifiers say."""
