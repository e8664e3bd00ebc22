"""The mesh world: any collection of textured meshes as pictures in the scene of 3DIEBench
(methods.md 3.1).

find.py lists the meshes and their classes, load.py reads one, mesh.py is what is read, texture.py
its colours, picture.py draws it, and world.py says how a whole collection becomes files.
"""
