"""A blending evaluation told: recorded rows become tables, figures and one page that holds them all."""
