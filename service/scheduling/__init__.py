"""How concurrent requests share the network and the threads: lines, batches, turns, places, and who has left."""
