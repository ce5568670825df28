"""Training: what makes the checkpoints that judges and fusers open."""
