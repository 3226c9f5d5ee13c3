"""From a finished run to a checked bundle: graph, passes, lowering, ladder."""
