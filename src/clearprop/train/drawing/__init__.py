"""Pictures of numbers, and the pages that they stand on: no run is known here."""
