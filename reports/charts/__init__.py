"""Pictures of results, each a pure function that returns SVG."""
