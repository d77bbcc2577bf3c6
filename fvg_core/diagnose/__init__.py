"""Frame or motion? What was wrong with a text-to-video result, found by changing one thing."""
