"""The pages at /ui."""
