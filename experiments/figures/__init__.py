"""Figures of papers: which runs each needs, what is measured on them, the paper's claims, and a plot."""
