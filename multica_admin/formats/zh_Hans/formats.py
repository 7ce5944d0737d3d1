"""Chinese in groups of three digits, as browsers write it; Django has groups of four."""

THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
