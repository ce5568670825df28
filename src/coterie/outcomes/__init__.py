"""What members achieved on prompts: the data that routers are trained, calibrated and measured on."""
