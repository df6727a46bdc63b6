"""A detector leaves the package: an ONNX graph, its contract, test events and a small scorer."""
