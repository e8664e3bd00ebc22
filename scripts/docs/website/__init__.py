"""The documentation site: pages made from the code, and what Sphinx needs. See make_site.py."""
