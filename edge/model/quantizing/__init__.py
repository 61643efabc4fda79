"""INT8 and FP16 of a prepared graph, as packages of their own: ``make.quantize`` leads the way through the rest."""
