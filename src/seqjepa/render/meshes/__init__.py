"""Any collection of textured meshes as pictures in the scene of 3DIEBench (methods.md 3.1).

collection.py lists the meshes and their classes, catalogue.py reads a catalogue's names for them,
load.py reads one mesh, mesh.py holds its triangles, texture.py its colours, picture.py draws it,
and workers.py draws many in several processes. `seqjepa.store.export_meshes` turns a whole
collection into files.
"""
