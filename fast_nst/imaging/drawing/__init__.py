"""Style pictures drawn by code, of many techniques and from a seed: paint, prints, and pictures made of pieces."""
